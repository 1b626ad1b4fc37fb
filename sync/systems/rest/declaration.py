"""What a declared application is like: where it is, how one logs in, how its lists are paged, where its records and their values stand.

The words for columns and entities are those of `sync.declared`, the same as for files; what JSON needs beside them is here.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from sync.connections import ConfigError, Connection
from sync.declared.declaration import Column, Condition, Declaration, Feed, Part, known_zone, read_options
from sync.declared.fields import own_fields
from sync.systems.rest import asking, paths
from sync.systems.rest.logins import Auth, secrets_named
from sync.systems.rest.pagings import AnyPaging, NoPaging

ISO_DAY = "%Y-%m-%d"
ISO_MOMENT = "%Y-%m-%dT%H:%M:%S%.f%z"
ISO_LOCAL = "%Y-%m-%dT%H:%M:%S%.f"
"""The forms in which values reach the columns: a moment of ISO 8601 or of an epoch is brought into one of them first."""


def _path(path: str) -> str:
    paths.where(path)
    return path


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
        """Whether its days or moments are in ISO 8601 as they come."""
        return self.type in ("time", "date") and self.formats[:1] in ((ISO_MOMENT,), (ISO_DAY,)) and self.epoch is None


class Incremental(Part):
    """Only what changed is asked for: `param` (or `{since}` in path, params, headers or body) carries the moment up to which `column` has been
    read, less the look-back.

    `format`: iso (2026-05-01T09:30:00Z), date, epoch, epoch_ms, in UTC, or a strftime pattern. A day, or a pattern that names no zone, is
    written by the clock of `zone`, else of the column's zone, else of the connection's, else UTC. `exclusive`: the application takes the moment
    for "after", and is asked for one unit earlier. `template` sets it into words of the application's own ("updated_at:>={value}").
    `initial`: what is sent on the first pull, and when all is read; without it nothing is sent then. `ordered`: the list comes oldest change
    first, so that an interrupted pull goes on from where it was. `newest_first`: it comes newest change first, and is read until it is known.
    `until_param`: carries the end, now; with `window_days` no more than so many days are asked for at once, from the day `initial` on.
    """

    param: str | None = None
    column: str
    format: str = "iso"
    zone: str | None = None
    exclusive: bool = False
    template: str = "{value}"
    initial: str | None = None
    look_back_minutes: int = Field(default=10, ge=0)
    ordered: bool = False
    newest_first: bool = False
    until_param: str | None = None
    window_days: int | None = Field(default=None, ge=1)

    @field_validator("template")
    @classmethod
    def _has_a_place(cls, template: str) -> str:
        if "{value}" not in template:
            raise ValueError("the template needs {value} where the moment goes")
        return template

    @field_validator("zone")
    @classmethod
    def _zone_exists(cls, zone: str | None) -> str | None:
        return known_zone(zone)

    @model_validator(mode="after")
    def _fitting(self) -> Self:
        if self.ordered and self.newest_first:
            raise ValueError("a list is ordered (oldest change first) or newest_first, not both")
        if self.window_days is not None:
            try:
                date.fromisoformat(self.initial or "")
            except ValueError:
                raise ValueError("window_days needs initial, the first day, such as 2024-01-01") from None
        return self


class RestStream(Declaration):
    """One list of the application. `records` is where they stand in the body, names with dots; empty: the body is the list. Without entities it
    is a draft: `connections test` shows what it holds, and it is not pulled.

    `deleted`: true of a record that is gone; it needs no more than its key. `sweep_hours`: how often the
    whole list is read to find what is no longer in it; 0 with a list that is read whole anyway: each time. None: never.
    """

    stream: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    path: str
    method: Literal["GET", "POST"] = "GET"
    """POST: a search, whose `body` is sent as JSON; the names of paging and of `incremental` are then paths into it."""
    params: dict[str, str] = Field(default_factory=dict)
    headers: dict[str, str] = Field(default_factory=dict)
    body: dict[str, Any] = Field(default_factory=dict)
    records: str = ""
    single: bool = False
    """At `records` stands one record, and no list of them."""
    absent_is_empty: bool = False
    """A list without records is told by leaving it out, or by null."""
    empty_status: tuple[int, ...] = ()
    """Statuses by which the application says that there is nothing, such as 404 for a page past the end, or 304."""
    parents_whole: bool = False
    """Records within records: each of the outer ones holds all of its own, so that what is no longer there is gone."""
    minor_digits: dict[str, int] = Field(default_factory=dict)
    """Decimals of a currency, where the application counts others than ISO 4217."""
    paging: AnyPaging = NoPaging()
    incremental: Incremental | None = None
    deleted: tuple[Condition, ...] = ()
    only_deleted: bool = False
    """Every record of the list is one that is gone."""
    sweep_hours: float | None = Field(default=None, ge=0)
    columns: Mapping[str, RestColumn] = Field(default_factory=dict)
    entities: tuple[Feed, ...] = ()

    @field_validator("records")
    @classmethod
    def _records_read(cls, path: str) -> str:
        paths.list_steps(path)
        return path

    @field_validator("params", "headers", mode="before")
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
            self._reached(name)
            if column.minor_units is not None and column.minor_units not in self.columns and not _is_currency(column.minor_units):
                raise ValueError(f"column {name}: minor_units names neither a column nor a currency: {column.minor_units}")
        if self.incremental is not None and not self.is_draft:
            self.needs("incremental", (self.incremental.column,))
            if self.columns[self.incremental.column].type not in ("time", "date"):
                raise ValueError(f"incremental goes by a time or a date, but column {self.incremental.column} is neither")
        for one in self.deleted:
            self.needs("deleted", one.columns())
        if self.body and self.method == "GET":
            raise ValueError('a body is sent with method = "POST" only')
        asking.check(self)
        if self.sweep_hours is not None and len({feed.key for feed in self.entities}) > 1:
            raise ValueError("sweep_hours needs all entities to have the same key")
        if self.only_deleted and (self.sweep_hours is not None or self.deleted or self.parents_whole):
            raise ValueError("only_deleted says that every record of the list is gone: leave deleted, sweep_hours and parents_whole out")
        if self.parents_whole:
            self._check_parents()
        return self

    def _check(self, feed: Feed) -> None:
        """Of what is only ever gone no more than the key is declared."""
        if self.only_deleted:
            own_fields(feed.entity)
            self.needs(feed.entity, feed.columns())
        else:
            super()._check(feed)

    def _reached(self, name: str) -> None:
        up = paths.where(self.path_of(name)).up
        above = sum(isinstance(step, paths.Each) for step in self.way) - (1 if self.single else 0)
        if up > max(above, 1):
            raise ValueError(f"column {name} goes {up} levels up, but above the records of {self.records!r} there are {max(above, 1)}")

    def _check_parents(self) -> None:
        if self.depth < 2:
            raise ValueError("parents_whole is for records within records, such as records = 'invoices[*].lines'")
        for feed in self.entities:
            if len(feed.key) < 2 or paths.where(self.path_of(feed.key[0])).up != self.depth - 1:
                raise ValueError(
                    f"parents_whole needs the key of {feed.entity} to begin with that of the outermost record: key = [a column of path"
                    f" {'^' * (self.depth - 1)}.id, the record's own]"
                )

    @property
    def is_draft(self) -> bool:
        """Whether it is not said yet what its records are."""
        return not self.entities

    @property
    def way(self) -> tuple[str | paths.Each, ...]:
        """The steps to its records."""
        return paths.list_steps(self.records)

    @property
    def depth(self) -> int:
        """How many lists stand in each other; 1: its records are those of the list that is paged."""
        return sum(isinstance(step, paths.Each) for step in self.way)

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


class Application(Part):
    """The options of a connection of system `rest`."""

    base_url: str
    auth: Auth = Auth()
    headers: dict[str, str] = Field(default_factory=dict)
    test_path: str | None = None
    """A path that costs little, for `connections test`; None: the first page of each stream is enough."""
    error_path: str | None = None
    """Where an error's words stand in the body; None: the usual places are looked at."""
    minor_digits: dict[str, int] = Field(default_factory=dict)
    """As for a list, for all of them."""
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
        for stream in self.streams:
            for other in self.streams if stream.sweep_hours is not None else ():
                both = {feed.entity for feed in stream.entities} & {feed.entity for feed in other.entities}
                if other is not stream and both and not other.only_deleted:
                    raise ValueError(
                        f"sweep_hours of {stream.stream}: {other.stream} feeds {', '.join(sorted(both))} too, and what is missing in the one list"
                        " may stand in the other: leave sweep_hours out, or declare the two lists as connections of their own"
                    )
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
    for name in sorted(secrets_named(connection.options) - set(connection.secrets)):
        raise ConfigError(f"connection {connection.name}: {{secret:{name}}} is named among the options, but not under [connection.secrets]")
    if not application.minor_digits:
        return application
    streams = tuple(
        stream.model_copy(update={"minor_digits": {**application.minor_digits, **stream.minor_digits}}) for stream in application.streams
    )
    return application.model_copy(update={"streams": streams})


def _is_currency(text: str) -> bool:
    return len(text) == 3 and text.isupper() and text.isalpha()
