"""What a drop of files looks like: where they arrive, how each kind is named and written. All of it configuration."""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from sync.connections import ConfigError, Connection
from sync.declared.declaration import Column, Declaration, Part, Strings, read_options
from sync.drops.arrivals import Signs
from sync.drops.calendar import Calendar
from sync.drops.options import DropOptions
from sync.systems.flat_files.idoc_paths import CONTENT_LENGTH, CONTROL, CONTROL_FIELDS, parse


class Marked(Part):
    """A header or trailer line: its first field is `marker`; `fields` names those after it. Known names: `sequence`,
    `period`, `records`, and last of all `totals`, which stands for repeated pairs of currency and amount.
    """

    marker: str = Field(min_length=1)
    fields: Strings
    widths: tuple[int, ...] = ()
    """In a file of fixed positions: the widths of `fields` behind the marker; for `totals` those of a currency and of an amount."""


class Totals(Part):
    """What the declared sums are about: the signed `amount` column by `currency_column`, or all in `currency`."""

    amount: str
    currency: str | None = None
    currency_column: str | None = None

    @model_validator(mode="after")
    def _one_currency(self) -> Self:
        if (self.currency is None) == (self.currency_column is None):
            raise ValueError("totals name exactly one of currency, currency_column")
        return self


class Manifest(Part):
    """A JSON file beside the data file, written last: the names of its members for digest, count and sums."""

    suffix: str = ".manifest.json"
    replaces_extension: bool = False
    sha256: str = "sha256"
    records: str = "records"
    totals: str = "totals"


class FileColumn(Column):
    """A column with its place in the file: `start` (from 1) and `width` of fixed positions, or the `path` of an IDoc's field where the
    column is not called by it.
    """

    start: int | None = Field(default=None, ge=1)
    width: int | None = Field(default=None, ge=1)
    path: str | None = None


class FileKind(Declaration):
    """One kind of file: how it is named, how it is written and what it feeds."""

    stream: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    pattern: str = "*"
    name: str | None = None
    """A regular expression on the file name; its groups `period` and `sequence` order the files."""
    format: Literal["delimited", "fixed", "idoc_flat", "idoc_xml"] = "delimited"
    columns: Mapping[str, FileColumn] = Field(min_length=1)
    delimiter: str = Field(default=",", min_length=1, max_length=1)
    quote: str | None = Field(default='"', min_length=1, max_length=1)
    encoding: str = "utf-8"
    names_in_file: bool = True
    header: Marked | None = None
    trailer: Marked | None = None
    totals: Totals | None = None
    manifest: Manifest | None = None
    done_suffix: str | None = None
    done_replaces_extension: bool = False
    stable_seconds: int = Field(default=0, ge=0)
    sequence_gaps: Literal["alarm", "note"] = "alarm"
    """A number that is passed over: an exception until it comes, or only a disagreeing verdict of the file after it."""
    expect: Calendar | None = None
    """When its files are due."""
    on_conflict: Literal["accept", "note", "refuse"] = "note"
    """What is done with a file whose name or sequence came before with other content."""
    framing: Literal["auto", "lines", "none"] = "auto"
    """Whether records stand in lines of their own. `auto`: flat IDocs say so themselves, files of fixed positions have lines."""
    record_length: int | None = Field(default=None, ge=1)
    """Fixed positions: how long every record has to be, in characters, or in bytes where positions are bytes."""
    positions: Literal["characters", "bytes"] = "characters"
    segments: dict[str, dict[str, int]] = Field(default_factory=dict)
    """Flat IDocs: segment type -> its fields with their widths, in their order."""
    each: str | None = None
    """IDocs: one record for every segment of this name, instead of one for every IDoc."""
    salvage: bool = False
    """IDocs: of a file that is cut, take those that came whole."""
    pad: bool = False
    """Flat IDocs in lines: a line that is too short lost the blanks at its end."""
    final_newline: bool = False
    """Whether a file without a line break at its end counts as cut."""
    max_bytes: int = Field(default=512 * 2**20, ge=1)

    @model_validator(mode="before")
    @classmethod
    def _encoding_of_idocs(cls, given: Any) -> Any:
        flat = isinstance(given, dict) and given.get("format") == "idoc_flat" and "encoding" not in given
        return {**given, "encoding": "latin-1"} if flat else given

    @field_validator("quote", mode="before")
    @classmethod
    def _no_quote(cls, given: object) -> object:
        return given or None  # TOML has no null: "" says that a quote is a character like any other

    @field_validator("encoding")
    @classmethod
    def _encoding_exists(cls, encoding: str) -> str:
        try:
            return codecs.lookup(encoding).name
        except LookupError:
            raise ValueError(f"no encoding is called {encoding!r}") from None

    @field_validator("name")
    @classmethod
    def _name_compiles(cls, name: str | None) -> str | None:
        try:
            re.compile(name or "")
        except re.error as error:
            raise ValueError(f"name is no regular expression: {error}") from error
        return name

    def signs(self) -> Signs:
        """By what a file of this kind is known, and known to be complete."""
        return Signs(
            self.pattern,
            self.done_suffix,
            self.done_replaces_extension,
            self.manifest.suffix if self.manifest else None,
            self.manifest.replaces_extension if self.manifest else False,
            self.stable_seconds,
        )

    def places(self) -> list[tuple[str, int, FileColumn]]:
        """(name, start from 0, column) of fixed positions; a column without a start follows the one before it."""
        found: list[tuple[str, int, FileColumn]] = []
        after = 0
        for name, column in self.columns.items():
            start = after if column.start is None else column.start - 1
            found.append((name, start, column))
            after = start + (column.width or 0)
        return found

    @model_validator(mode="after")
    def _format_is_whole(self) -> Self:
        if self.format == "fixed":
            self._check_fixed()
        elif self.format != "delimited":
            self._check_idoc()
        return self

    def _check_fixed(self) -> None:
        unplaced = [name for name, column in self.columns.items() if column.width is None]
        if unplaced:
            raise ValueError(f"column {unplaced[0]} needs its width (and its start, from 1, where it does not follow the one before)")
        if self.framing == "none" and self.record_length is None:
            raise ValueError('framing = "none" needs record_length: how long every record is')
        ends = max(start + (column.width or 0) for _, start, column in self.places())
        if self.record_length is not None and ends > self.record_length:
            raise ValueError(f"the columns reach to position {ends}, beyond record_length {self.record_length}")
        for what, marked in (("header", self.header), ("trailer", self.trailer)):
            wanted = len(marked.fields) + (marked.fields[-1] == "totals") if marked else 0
            if marked is not None and len(marked.widths) != wanted:
                raise ValueError(f"{what} needs {wanted} widths, for its fields behind the marker (totals: two, of currency and amount)")

    def _check_idoc(self) -> None:
        if self.header is not None or self.trailer is not None:
            raise ValueError("an IDoc has no header or trailer line: its sums come by a manifest")
        for name, column in self.columns.items():
            path = parse(column.path or name)
            last = path.steps[-1].name
            known = set(CONTROL_FIELDS) if last == CONTROL else set(self.segments.get(last, ()))
            asked = {path.field, *(field for field, _ in path.steps[-1].tests)}
            if self.format == "idoc_flat" and asked - known:
                raise ValueError(f"column {name}: segments.{last} does not declare {', '.join(sorted(asked - known))}")
        for name, fields in self.segments.items():
            if sum(fields.values()) > CONTENT_LENGTH:
                raise ValueError(f"segments.{name} has more than {CONTENT_LENGTH} positions")

    @model_validator(mode="after")
    def _totals_are_declared(self) -> Self:
        if self.totals is not None:
            self.needs("totals", (self.totals.amount,), "amount")
            if self.totals.currency_column is not None:
                self.needs("totals", (self.totals.currency_column,), "text")
        return self


class Drop(DropOptions):
    """The options of a connection: where its files arrive and of which kinds they are."""

    files: tuple[FileKind, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _streams_differ(self) -> Self:
        names = [kind.stream for kind in self.files]
        if len(set(names)) != len(names):
            raise ValueError("two kinds of file have the same stream name")
        return self

    def kind(self, stream: str) -> FileKind | None:
        """The file kind of `stream`, or None."""
        return next((kind for kind in self.files if kind.stream == stream), None)


def declared(connection: Connection) -> Drop:
    """The drop that `connection` declares; ConfigError names the connection, the place in its options and what is wrong."""
    drop = read_options(Drop, connection)
    for kind in drop.files:
        name = kind.zoneless(connection.zone)
        if name is not None:
            raise ConfigError(f"connection {connection.name}: column {name} of {kind.stream} holds local times: name the connection's zone")
    return drop
