"""The words of a declaration: what the columns of a source's records hold, and which canonical entities a record feeds.

All of it configuration, read into these models when a connection is opened. Whatever is wrong in it is said then, with the connection,
the place in its options and the column, never later in the middle of a page.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Self, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from sync.complaints import complaints
from sync.connections import ConfigError, Connection
from sync.declared.fields import field_type, own_fields, required_fields

Scalar = bool | int | str
Strings = Annotated[tuple[str, ...], Field(min_length=1)]


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Column(Part):
    """One column. `formats` are strptime formats; `decimal`, `thousands`, `trailing_minus` override the file's own."""

    type: Literal["text", "amount", "date", "time", "integer", "flag"] = "text"
    required: bool = False
    optional: bool = False
    """The column itself may be absent from a file."""
    formats: tuple[str, ...] = ()
    decimal: str | None = None
    thousands: str | None = None
    trailing_minus: bool | None = None
    alpha: int | None = Field(default=None, ge=1, le=40)
    """A text of digits alone is filled with zeros to this width, as SAP keeps its numbers: one sender writes them with zeros, another without."""
    implied_decimals: int | None = Field(default=None, ge=0, le=6)
    """An amount without a decimal mark: its last so many digits are decimals, `0000012345` with 2 is 123.45."""
    zone: str | None = None
    ambiguous: Literal["reject", "earliest", "latest"] = "reject"
    """What a local time means that a clock change makes happen twice; one that it skips is always rejected."""
    true: tuple[str, ...] = ("1", "X", "Y", "true", "Yes")
    false: tuple[str, ...] = ("0", "", "N", "false", "No")

    @field_validator("zone")
    @classmethod
    def _zone_exists(cls, zone: str | None) -> str | None:
        return known_zone(zone)


class Condition(Part):
    """True of a line when its `column` is as said; several conditions are joined by "and"."""

    column: str
    test: Literal["present", "absent", "equals", "differs", "in", "equals_column", "nonzero", "positive", "negative"] = Field(alias="is")
    value: Scalar | None = None
    values: tuple[Scalar, ...] = ()
    other: str | None = None
    """The column that `equals_column` compares with."""

    def columns(self) -> tuple[str, ...]:
        """Every column that the condition reads."""
        return (self.column,) + ((self.other,) if self.other else ())


class Case(Part):
    """`value` where all of `when` holds."""

    when: tuple[Condition, ...] = Field(min_length=1)
    value: Scalar


class After(Part):
    """A date so many days after the date column `day`: the first of the integer columns `days` that is present and not zero, else none."""

    day: str
    days: Strings

    @field_validator("days", mode="before")
    @classmethod
    def _one_or_many(cls, given: object) -> object:
        return (given,) if isinstance(given, str) else given


class Rule(Part):
    """Where a canonical field comes from; exactly one of `column`, `value`, `first`, `join`, `sum`, `cases`, `after` is given.

    `values` maps what stands in the column; what it does not name is `default`, and without one it is a reject.
    """

    column: str | None = None
    value: Scalar | None = None
    first: Strings | None = None
    join: Strings | None = None
    sum: Strings | None = None
    cases: Annotated[tuple[Case, ...], Field(min_length=1)] | None = None
    after: After | None = None
    separator: str = "/"
    values: dict[str, Scalar] | None = None
    default: Scalar | None = None
    negate: bool = False

    @model_validator(mode="before")
    @classmethod
    def _column_alone(cls, given: object) -> object:
        return {"column": given} if isinstance(given, str) else given

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        origins = [o for o in (self.column, self.value, self.first, self.join, self.sum, self.cases, self.after) if o is not None]
        if len(origins) != 1:
            raise ValueError("a field comes from exactly one of column, value, first, join, sum, cases, after")
        return self

    def columns(self) -> tuple[str, ...]:
        """Every column that the rule reads."""
        of_cases = tuple(name for case in self.cases or () for one in case.when for name in one.columns())
        of_after = (self.after.day, *self.after.days) if self.after else ()
        return ((self.column,) if self.column else ()) + (self.first or self.join or self.sum or ()) + of_cases + of_after


class Feed(Part):
    """One canonical entity that a line feeds. Lines that fail `when` feed nothing, or with `otherwise = "delete"` say
    that the record is gone. `once` keeps one row per key of a file: its first or last in business order.
    """

    entity: str
    key: Strings
    when: tuple[Condition, ...] = ()
    otherwise: Literal["nothing", "delete"] = "nothing"
    once: Literal["first", "last"] | None = None
    version: str | None = None
    changed_at: tuple[str, ...] = ()
    fields: dict[str, Rule] = Field(default_factory=dict)

    @field_validator("changed_at", "key", mode="before")
    @classmethod
    def _one_or_many(cls, given: object) -> object:
        return (given,) if isinstance(given, str) else given

    def columns(self) -> tuple[str, ...]:
        """Every column that this feed reads."""
        of_fields = tuple(column for rule in self.fields.values() for column in rule.columns())
        conditions = tuple(name for condition in self.when for name in condition.columns())
        return self.key + conditions + self.changed_at + ((self.version,) if self.version else ()) + of_fields


class Declaration(Part):
    """One kind of record: how its texts are written, what its columns hold and what they feed."""

    decimal: str = Field(default=".", min_length=1, max_length=1)
    thousands: str | None = Field(default=None, min_length=1, max_length=1)
    trailing_minus: bool = False
    null_values: tuple[str, ...] = ()
    reject_limit_share: float | None = Field(default=None, ge=0, le=1)
    """Above this share of unreadable records their page is refused as a whole."""
    columns: Mapping[str, Column] = Field(min_length=1)
    entities: tuple[Feed, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _columns_and_feeds(self) -> Self:
        for column, declared in self.columns.items():
            if declared.type in ("date", "time") and not declared.formats:
                raise ValueError(f"column {column} is a {declared.type}: give its formats, such as %d.%m.%Y")
        for feed in self.entities:
            self._check(feed)
        return self

    def _check(self, feed: Feed) -> None:
        self.needs(feed.entity, feed.columns())
        unknown = sorted(set(feed.fields) - own_fields(feed.entity))
        if unknown:
            raise ValueError(f"{feed.entity} has no field {', '.join(unknown)}; it has: {', '.join(sorted(own_fields(feed.entity)))}")
        missing = sorted(required_fields(feed.entity) - set(feed.fields))
        if missing:
            raise ValueError(f"{feed.entity} needs {', '.join(missing)}: add it under its fields")
        for field, rule in feed.fields.items():
            self._fits(feed.entity, field, rule)
        for one in feed.when:
            self._comparable(feed.entity, one)
        for column in feed.changed_at:
            if self.columns[column].type not in ("date", "time"):
                raise ValueError(f"{feed.entity}: changed_at takes a date or a time, but column {column} is neither")

    def _fits(self, entity: str, field: str, rule: Rule) -> None:
        wanted = field_type(entity, field)
        sources = [column for column in (rule.column, *(rule.first or ()), *(rule.sum or ())) if column]
        for column in sources if rule.values is None else ():
            found = self.columns[column].type
            if found not in ACCEPTED[wanted]:
                raise ValueError(f"{entity}.{field} takes a {wanted}, but column {column} is declared {found}")

        if rule.after is not None:
            if wanted != "date":
                raise ValueError(f"{entity}.{field} takes a {wanted}; `after` gives a date")
            self.needs(f"{entity}.{field}", (rule.after.day,), "date")
            self.needs(f"{entity}.{field}", rule.after.days, "integer")
        for one in (condition for case in rule.cases or () for condition in case.when):
            self._comparable(f"{entity}.{field}", one)

    def _comparable(self, what: str, one: Condition) -> None:
        """ValueError when the condition compares what can't be compared."""
        found = self.columns[one.column].type
        if one.test in ("nonzero", "positive", "negative") and found not in ("amount", "integer"):
            raise ValueError(f"{what}: column {one.column} is declared {found}; only an amount or an integer is {one.test}")
        if one.test == "equals_column" and (one.other is None or self.columns[one.other].type != found):
            raise ValueError(f"{what}: equals_column needs `other`, a column of the same type as {one.column}")

    def needs(self, what: str, columns: tuple[str, ...], kind: str | None = None) -> None:
        """ValueError when one of `columns`, which `what` names, is not declared, or not as `kind`."""
        for column in columns:
            if column not in self.columns:
                raise ValueError(f"{what} names column {column}, which is not declared under columns")
            if kind is not None and self.columns[column].type != kind:
                raise ValueError(f"{what}: column {column} has to be declared {kind}")

    def zoneless(self, zone: str | None) -> str | None:
        """The first column of local times for which neither it, its formats nor `zone` (the connection's) names a zone; else None."""
        for name, column in self.columns.items():
            if column.type == "time" and not (column.zone or zone or all("%z" in one for one in column.formats)):
                return name
        return None


ACCEPTED: dict[str, tuple[str, ...]] = {
    "text": ("text", "integer"),
    "amount": ("amount", "integer"),
    "integer": ("integer",),
    "flag": ("flag",),
    "date": ("date", "time"),
    "time": ("time", "date"),
}
"""Kind of a canonical field -> the column types that may feed it."""


def known_zone(zone: str | None) -> str | None:
    """`zone` if it is an IANA zone (or None); ValueError otherwise."""
    if zone is not None:
        try:
            ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError(f"no time zone is called {zone!r}") from None
    return zone


Options = TypeVar("Options", bound=BaseModel)


def read_options(model: type[Options], connection: Connection) -> Options:
    """The options of `connection` as `model`; ConfigError names the connection, the place in its options and what is wrong."""
    try:
        options = model.model_validate(connection.options)
        known_zone(connection.zone)
    except ValidationError as error:
        lines = "; ".join(f"options.{line}" for line in complaints(error, model, connection.options))
        raise ConfigError(f"connection {connection.name}: {lines}") from error
    except ValueError as error:
        raise ConfigError(f"connection {connection.name}: {error}") from error
    return options
