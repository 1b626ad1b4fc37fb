"""What a drop of files looks like: where they arrive, how each kind is named and written. All of it configuration."""

from __future__ import annotations

import codecs
import re
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from sync.connections import ConfigError, Connection
from sync.declared.declaration import Declaration, Part, Strings, read_options
from sync.drops.arrivals import Signs
from sync.drops.options import DropOptions


class Marked(Part):
    """A header or trailer line: its first field is `marker`; `fields` names those after it. Known names: `sequence`,
    `period`, `records`, and last of all `totals`, which stands for repeated pairs of currency and amount.
    """

    marker: str = Field(min_length=1)
    fields: Strings


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


class FileKind(Declaration):
    """One kind of file: how it is named, how it is written and what it feeds."""

    stream: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    pattern: str = "*"
    name: str | None = None
    """A regular expression on the file name; its groups `period` and `sequence` order the files."""
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
    on_conflict: Literal["accept", "note", "refuse"] = "note"
    """What is done with a file whose name or sequence came before with other content."""
    final_newline: bool = False
    """Whether a file without a line break at its end counts as cut."""
    max_bytes: int = Field(default=512 * 2**20, ge=1)

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
