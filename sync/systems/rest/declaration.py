"""What a declared application is like: where it is, how one logs in, how its lists are paged, where its records and their values stand.

The words for columns and entities are those of `sync.declared`, the same as for files; what JSON needs beside them is here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from sync.connections import ConfigError, Connection
from sync.declared.declaration import Column, Condition, Declaration, Part, read_options
from sync.systems.rest import paths

ISO_DAY = "%Y-%m-%d"
ISO_MOMENT = "%Y-%m-%dT%H:%M:%S%.f%z"
ISO_LOCAL = "%Y-%m-%dT%H:%M:%S%.f"
"""The forms in which values reach the columns: a moment of ISO 8601 or of an epoch is brought into one of them first."""


def _path(path: str) -> str:
    paths.steps(path)
    return path


def _members(path: str) -> str:
    paths.members(path)
    return path


Path = Annotated[str, Field(min_length=1)]


class RestColumn(Column):
    """A column that stands at a JSON path of the record; without one its name is the path.

    `formats` may be left out: dates and moments are then ISO 8601. `epoch`: the moment is a number of seconds or milliseconds since 1970.
    `minor_units`: the amount counts cents and the like; it names the column that holds the currency, or a currency itself. `upper`: the text
    in capitals, as ISO 4217 and ISO 3166 have it, whichever way the application writes its codes.
    """

    path: str | None = None
    epoch: Literal["seconds", "milliseconds"] | None = None
    minor_units: str | None = None
    upper: bool = False

    @model_validator(mode="before")
    @classmethod
    def _formats_of_json(cls, given: Any) -> Any:
        if isinstance(given, str):
            given = {"path": given}
        if isinstance(given, Mapping) and not given.get("formats"):
            kind = given.get("type")
            if kind == "date":
                return {**given, "formats": (ISO_DAY,)}
            if kind == "time":
                return {**given, "formats": (ISO_MOMENT, ISO_LOCAL)}
        return given

    @field_validator("path")
    @classmethod
    def _path_reads(cls, path: str | None) -> str | None:
        return None if path is None else _path(path)

    @model_validator(mode="after")
    def _fitting(self) -> Self:
        if self.epoch is not None and self.type not in ("time", "date"):
            raise ValueError("epoch is for a column of type time or date")
        if self.minor_units is not None and self.type != "amount":
            raise ValueError("minor_units is for a column of type amount")
        if self.upper and self.type != "text":
            raise ValueError("upper is for a column of type text")
        return self

    @property
    def is_iso(self) -> bool:
        """Whether its moments are in ISO 8601 as they come."""
        return self.type == "time" and self.formats[:1] == (ISO_MOMENT,) and self.epoch is None


class NoPaging(Part):
    """Everything comes in one answer."""

    style: Literal["none"] = "none"


class PageNumber(Part):
    """Pages are counted from `first`. The last one is told by `more` (a flag), `pages` or `total` (counts); without any of them an empty
    page is, since a server may give fewer records than it was asked for.
    """

    style: Literal["page"]
    param: str = "page"
    first: int = 1
    size_param: str | None = None
    size: int = Field(default=100, ge=1)
    more: Path | None = None
    pages: Path | None = None
    total: Path | None = None


class Offset(Part):
    """The place of the first record is asked for; told as with page numbers."""

    style: Literal["offset"]
    param: str = "offset"
    size_param: str | None = "limit"
    size: int = Field(default=100, ge=1)
    more: Path | None = None
    total: Path | None = None


class BodyCursor(Part):
    """The next page's cursor stands in the body at `cursor`, or is the value at `of_record` in the last record: its id, or what the list is
    sorted by. `more`: a flag that says whether there is a next page; without one an absent cursor ends the list.
    """

    style: Literal["cursor"]
    param: str = "cursor"
    cursor: Path | None = None
    of_record: Path | None = None
    more: Path | None = None
    size_param: str | None = None
    size: int = Field(default=100, ge=1)

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.cursor is None) == (self.of_record is None):
            raise ValueError("a cursor stands at exactly one of cursor (in the body), of_record (in the last record)")
        return self


class HeaderCursor(Part):
    """The next page's cursor stands in a header; without one the list ends."""

    style: Literal["header"]
    header: str
    param: str = "cursor"
    size_param: str | None = None
    size: int = Field(default=100, ge=1)


class LinkHeader(Part):
    """The next page's address stands in the Link header (RFC 8288) under `rel`."""

    style: Literal["link"]
    rel: str = "next"
    size_param: str | None = None
    size: int = Field(default=100, ge=1)


class NextUrl(Part):
    """The next page's address stands in the body at `url`, whole or relative to the page's own; on the connection's own host only."""

    style: Literal["next_url"]
    url: Path
    size_param: str | None = None
    size: int = Field(default=100, ge=1)


Paging = Annotated[NoPaging | PageNumber | Offset | BodyCursor | HeaderCursor | LinkHeader | NextUrl, Field(discriminator="style")]


class Incremental(Part):
    """Only what changed is asked for: `param` carries the moment up to which `column` has been read, less the look-back.

    `format`: iso (2026-05-01T09:30:00Z), date, epoch, epoch_ms or a strftime pattern, always UTC. `template` sets it into words of the
    application's own ("updated_at:>={value}"). `initial`: what is sent on the first pull; without it the parameter is left out then.
    `ordered`: the list comes oldest change first, so that an interrupted pull goes on from where it was.
    """

    param: str
    column: str
    format: str = "iso"
    template: str = "{value}"
    initial: str | None = None
    look_back_minutes: int = Field(default=10, ge=0)
    ordered: bool = False

    @field_validator("template")
    @classmethod
    def _has_a_place(cls, template: str) -> str:
        if "{value}" not in template:
            raise ValueError("the template needs {value} where the moment goes")
        return template


class RestStream(Declaration):
    """One list of the application. `records` is where they stand in the body, names with dots; empty: the body is the list.

    `deleted`: true of a record that is gone; it needs no more than its key. `sweep_hours`: how often the whole list is read to find what
    is no longer in it; 0 with a list that is read whole anyway: each time. None: never.
    """

    stream: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    path: str
    method: Literal["GET", "POST"] = "GET"
    """POST: a search, whose `body` is sent as JSON; the names of paging and of `incremental` are then paths into it."""
    params: dict[str, str] = Field(default_factory=dict)
    body: dict[str, Any] = Field(default_factory=dict)
    records: str = ""
    paging: Paging = NoPaging()
    incremental: Incremental | None = None
    deleted: tuple[Condition, ...] = ()
    sweep_hours: float | None = Field(default=None, ge=0)
    columns: Mapping[str, RestColumn] = Field(min_length=1)

    @field_validator("records")
    @classmethod
    def _records_read(cls, path: str) -> str:
        return _members(path)

    @field_validator("params", mode="before")
    @classmethod
    def _texts(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        return {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in given.items()}

    @field_validator("deleted", mode="before")
    @classmethod
    def _one_or_many(cls, given: Any) -> Any:
        return (given,) if isinstance(given, Mapping) else given

    @model_validator(mode="after")
    def _columns_are_there(self) -> Self:
        for name, column in self.columns.items():
            paths.steps(self.path_of(name))
            if column.minor_units is not None and column.minor_units not in self.columns and not _is_currency(column.minor_units):
                raise ValueError(f"column {name}: minor_units names neither a column nor a currency: {column.minor_units}")
        if self.incremental is not None:
            self.needs("incremental", (self.incremental.column,))
            if self.columns[self.incremental.column].type not in ("time", "date"):
                raise ValueError(f"incremental goes by a time or a date, but column {self.incremental.column} is neither")
        for one in self.deleted:
            self.needs("deleted", one.columns())
        if self.body and self.method == "GET":
            raise ValueError('a body is sent with method = "POST" only')
        if self.method == "POST":
            filled = self.body
            for name in self._names_of_search():
                filled = paths.put(filled, name, "")
        if self.sweep_hours is not None and len({feed.key for feed in self.entities}) > 1:
            raise ValueError("sweep_hours needs all entities to have the same key")
        return self

    def _names_of_search(self) -> tuple[str, ...]:
        """The paths into the body that a search fills."""
        of_paging = (getattr(self.paging, name, None) for name in ("param", "size_param"))
        return tuple(name for name in (*of_paging, self.incremental and self.incremental.param) if name)

    def path_of(self, column: str) -> str:
        """Where a column stands in the record."""
        return self.columns[column].path or column

    def zoneless(self, zone: str | None) -> str | None:
        """As for every declaration; moments in ISO 8601 are judged one by one, and an epoch is UTC."""
        for name, column in self.columns.items():
            says_zone = column.is_iso or column.epoch is not None or all("%z" in one for one in column.formats)
            if column.type == "time" and not (column.zone or zone or says_zone):
                return name
        return None

    @property
    def reads_whole(self) -> bool:
        """Whether each pull reads the whole list."""
        return self.incremental is None


class Auth(Part):
    """How one logs in; the secrets of the connection hold what is secret.

    basic: secrets user, password. bearer: token. header, query: key, under `name`, with `prefix` before it. oauth2: client credentials from
    `token_url`, secrets client_id, client_secret, sent as basic authorisation or in the body.
    """

    kind: Literal["none", "basic", "bearer", "header", "query", "oauth2"] = "none"
    name: str | None = None
    prefix: str = ""
    token_url: str | None = None
    scope: str | None = None
    params: dict[str, str] = Field(default_factory=dict)
    """Further fields of the token request, such as audience."""
    client_in: Literal["basic", "body"] = "basic"

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.kind in ("header", "query") and not self.name:
            raise ValueError(f"auth of kind {self.kind} needs the name of its {'header' if self.kind == 'header' else 'parameter'}")
        if self.kind == "oauth2" and not self.token_url:
            raise ValueError("auth of kind oauth2 needs token_url, the whole address of the token")
        return self


class Application(Part):
    """The options of a connection of system `rest`."""

    base_url: str
    auth: Auth = Auth()
    headers: dict[str, str] = Field(default_factory=dict)
    test_path: str | None = None
    """A path that costs little, for `connections test`; None: the first page of each stream is enough."""
    error_path: str | None = None
    """Where an error's words stand in the body; None: the usual places are looked at."""
    gone_max: float = Field(default=0.05, gt=0, le=1)
    """Above this share missing at once, a person has to look."""
    webhook: dict[str, Any] = Field(default_factory=dict)
    deadline_seconds: float | None = None
    ca_file: str | None = None
    streams: tuple[RestStream, ...] = Field(min_length=1)

    @field_validator("error_path")
    @classmethod
    def _path_reads(cls, path: str | None) -> str | None:
        return None if path is None else _path(path)

    @model_validator(mode="after")
    def _streams_differ(self) -> Self:
        names = [stream.stream for stream in self.streams]
        if len(set(names)) != len(names):
            raise ValueError("two streams have the same name")
        return self


def declared(connection: Connection) -> Application:
    """The application that `connection` declares; ConfigError names the connection, the place in its options and what is wrong."""
    application = read_options(Application, connection)
    for stream in application.streams:
        name = stream.zoneless(connection.zone)
        if name is not None:
            raise ConfigError(
                f"connection {connection.name}: column {name} of {stream.stream} holds local times: name the connection's zone"
            )
    return application


def _is_currency(text: str) -> bool:
    return len(text) == 3 and text.isupper() and text.isalpha()
