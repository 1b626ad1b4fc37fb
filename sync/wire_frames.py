"""JSON pages into frames: split a page into its records, keep every number as its own text, reject by rule.

Shared by the mappings of the systems that speak JSON. Pure: bytes and frames in, frames out. The way through it:

    page = split(body, "d", "results")          the records' bytes and what stands beside them
    rows = decode(page.records)                 dicts; numbers are text, broken records are set apart
    frame = text_frame(rows, {"number": "SalesOrder", "etag": "__metadata.etag"})
    frame = frame.with_columns(net=to_amount("TotalNetAmount"), changed_at=to_utc("stamp"), ...)
    good, bad = settle(frame, [required("number"), readable("TotalNetAmount", "net", "bad_amount")], Subject("sales_order", "number"))
    rejects = all_rejects(broken_rejects(rows, "sales_order"), bad)
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter
from typing import Any

import msgspec
import polars as pl

from db.money import AMOUNT, currencies, fits_currency, parse_amount
from sync.ports import REJECT_SCHEMA, no_rejects
from sync.wire_alike import Number
from sync.wire_rows import Rows, Split, decode, excerpt, fields_seen, split

ORDINAL = "ordinal"
_BUILT_ONCE = lru_cache(maxsize=1024)
"""Building an expression costs as much as applying it to hundreds of rows; the same few are wanted for every page."""

_SCALARS = frozenset({str, Number, int, bool, type(None)})

__all__ = [
    "ORDINAL",
    "Rows",
    "Rule",
    "Split",
    "Subject",
    "all_rejects",
    "blank_to_null",
    "broken_rejects",
    "decode",
    "drifted",
    "fields_seen",
    "first_texts",
    "iso_currency",
    "known_currency",
    "readable",
    "required",
    "reshaped",
    "settle",
    "split",
    "text_frame",
    "to_amount",
    "to_date",
    "to_flag",
    "to_number",
    "to_utc",
]


def text_frame(rows: Rows, fields: Mapping[str, str] | Sequence[str]) -> pl.DataFrame:
    """A frame of the sound records: `ordinal` and text columns; `fields` maps column -> field, dots go into objects.

    Absent and null are null, true and false are "true" and "false". An object or a list is its JSON text, and is put down in
    `rows.reshaped` unless it has something within that is asked for too.
    """
    names = fields if isinstance(fields, Mapping) else {name: name for name in fields}
    every = rows.alike is not None
    ordinals = pl.int_range(rows.total, dtype=pl.Int64, eager=True) if every else pl.Series(rows.ordinals, dtype=pl.Int64)
    columns = {ORDINAL: ordinals.alias(ORDINAL)}
    plain = {} if every else _columns(rows.sound, [name for name in names.values() if "." not in name])
    for column, name in names.items():
        values = plain[name] if name in plain else _values_of(rows, name)
        columns[column], kinds = _text_series(column, values)
        if not kinds <= _SCALARS:
            _note_shapes(
                rows, name, values, {other[len(name) + 1 :].partition(".")[0] for other in names.values() if other.startswith(f"{name}.")}
            )
    return pl.DataFrame(columns)


def _note_shapes(rows: Rows, name: str, values: Sequence[Any], within: Collection[str]) -> None:
    """Puts down where the values are objects or lists, but for objects that have one of the members that are asked for within them."""
    if rows.alike is not None and rows.alike.has(name, within):  # all are of one shape
        return
    odd = [at for at, value in zip(rows.ordinals, values, strict=True) if type(value) not in _SCALARS and not _has(value, within)]
    if odd:
        rows.reshaped[name] = odd


def _has(value: Any, members: Collection[str]) -> bool:
    return isinstance(value, dict) and any(name in value for name in members)


def reshaped(rows: Rows) -> list[Rule]:
    """Rules, cause schema_drift, for the records in which a field that `text_frame` was asked for is no single value any more. Put them
    first; none when all is as ever.
    """
    return [_shape_rule(name, ordinals, "has become an object or a list") for name, ordinals in rows.reshaped.items()]


def first_texts(rows: Rows, path: str, member: str) -> list[str | None]:
    """Of each sound record the first text, empty ones passed over, that the objects in the list at `path` hold under `member`."""
    if rows.alike is not None:
        return rows.alike.first_texts(path, member)
    found: list[str | None] = []
    for items in _values(rows.sound, path):
        held = [item.get(member) for item in items if type(item) is dict] if type(items) is list else []
        found.append(next((text for text in held if isinstance(text, str) and text), None))
    return found


@_BUILT_ONCE
def to_amount(column: str) -> pl.Expr:
    """The text column as an exact numeric(19,4) amount; null where it isn't one (float notation was made plain before)."""
    return parse_amount(pl.col(column))


@_BUILT_ONCE
def to_number(column: str, scale: int = 6) -> pl.Expr:
    """The text column as an exact decimal that is no money (a share, a count); null where it isn't one."""
    plain = pl.col(column).str.contains(rf"^-?\d{{1,20}}(\.\d{{1,{scale}}}0*)?$")
    return pl.when(plain).then(pl.col(column)).otherwise(None).cast(pl.Decimal(38, scale), strict=False)


@_BUILT_ONCE
def to_date(column: str, pattern: str = "%Y-%m-%d") -> pl.Expr:
    """The text column as a date; null where there is no such day."""
    return pl.col(column).str.to_date(pattern, strict=False)


@_BUILT_ONCE
def to_utc(column: str) -> pl.Expr:
    """An ISO 8601 moment with its offset (Z, +0000, +00:00) as UTC; null where it names no offset or is none."""
    return pl.col(column).str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%#z", time_unit="us", strict=False)


@_BUILT_ONCE
def to_flag(column: str) -> pl.Expr:
    """The text column as a boolean: true only for "true", "True", "1" and "X"."""
    return pl.col(column).is_in(["true", "True", "1", "X"]).fill_null(False)


@_BUILT_ONCE
def blank_to_null(column: str) -> pl.Expr:
    """The text column with surrounding blanks cut off and the empty text as null."""
    stripped = pl.col(column).str.strip_chars()
    return pl.when(stripped == "").then(None).otherwise(stripped)


@dataclass(frozen=True, slots=True)
class Rule:
    """Why a record can't pass: `bad` is true for it; `cause` a slug of sync.canonical.causes; `field` in the source's words."""

    cause: str
    field: str
    bad: pl.Expr
    message: str


@dataclass(frozen=True, slots=True)
class Subject:
    """What the rejects of a frame are about: the entity, and the columns that hold key, customer, amount and currency."""

    entity: str
    key: str
    customer: str | None = None
    amount: str | None = None
    currency: str | None = None


@_BUILT_ONCE
def required(column: str, field: str | None = None) -> Rule:
    """The column must not be null or blank."""
    name = field or column
    empty = pl.col(column).is_null() | (pl.col(column).cast(pl.String).str.strip_chars() == "")
    return Rule("missing_field", name, empty, f"{name} is empty")


@_BUILT_ONCE
def readable(text: str, parsed: str, cause: str, field: str | None = None) -> Rule:
    """Where `text` says something, `parsed` must have become a value; `cause` is bad_amount, bad_date, bad_time or bad_value."""
    name = field or text
    said = pl.col(text).is_not_null() & (pl.col(text).str.strip_chars() != "")
    words = {"bad_amount": "an exact amount", "bad_date": "a date", "bad_time": "a moment with its zone"}.get(cause, "a known value")
    return Rule(cause, name, said & pl.col(parsed).is_null(), f"{name} is not {words}")


def iso_currency(currency: str, field: str) -> Rule:
    """Where a currency is named, it must be an ISO 4217 code."""
    unknown = pl.col(currency).is_not_null() & ~pl.col(currency).is_in(sorted(currencies()))
    return Rule("bad_currency", field, unknown, f"{field} is no ISO 4217 currency")


def known_currency(amount: str, currency: str, field: str) -> list[Rule]:
    """Where there is an amount, its currency must be named, an ISO 4217 code, and have as many decimals as the amount needs."""
    code = pl.col(currency)
    finer = ~fits_currency(pl.col(amount), code)
    return [
        Rule("bad_currency", field, pl.col(amount).is_not_null() & code.is_null(), f"{field} is empty beside an amount"),
        iso_currency(currency, field),
        Rule("bad_currency", field, finer, f"the amount has more decimals than {field} allows"),
    ]


def drifted(rows: Rows, scalars: Iterable[str], promised: Collection[str] = ()) -> list[Rule]:
    """Rules, cause schema_drift, for records whose shape is not the one we know: one of the `scalars` has become an object or a
    list, or a field that was `promised` (asked for, or always there) is gone. Put them first; none when all is as ever.
    """
    rules: list[Rule] = []
    for name in dict.fromkeys((*scalars, *promised)):
        nested = name not in scalars
        gone = name in promised
        reshaped: list[int] = []
        absent: list[int] = []
        alike = rows.alike.column(name) if rows.alike is not None else None
        if alike is not None and (nested or _SCALARS.issuperset(map(type, alike))):
            continue
        for ordinal, row in zip(rows.ordinals, rows.sound, strict=True):
            if name not in row:
                if gone:
                    absent.append(ordinal)
            elif not nested and type(row[name]) in (dict, list):
                reshaped.append(ordinal)
        for ordinals, words in ((reshaped, "has become an object"), (absent, "is gone")):
            if ordinals:
                rules.append(_shape_rule(name, ordinals, words))
    return rules


def _shape_rule(name: str, ordinals: list[int], words: str) -> Rule:
    return Rule("schema_drift", name, pl.col(ORDINAL).is_in(ordinals), f"{name} {words}")


def settle(
    frame: pl.DataFrame, rules: Sequence[Rule], subject: Subject, evidence: Mapping[str, str] | Sequence[str] = ()
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The rows that keep every rule, and the rejects of the others: one each, by the first rule it breaks.

    `evidence` names the columns whose values the rejects show, or maps column -> name to show it by; all text columns when empty.
    """
    if not rules or frame.is_empty():
        return frame, no_rejects()
    hits = frame.select(rule.bad.any().alias(str(place)) for place, rule in enumerate(rules)).row(0)
    if not any(hits):
        return frame, no_rejects()
    broken = [(place, rule.bad.fill_null(False)) for place, rule in enumerate(rules) if hits[place]]
    judged = frame.with_columns(_rule=pl.coalesce([pl.when(bad).then(pl.lit(place, pl.Int32)) for place, bad in broken]))
    good = judged.filter(pl.col("_rule").is_null()).drop("_rule")
    bad = judged.filter(pl.col("_rule").is_not_null())
    return good, _rejects(bad, rules, subject, evidence)


def broken_rejects(rows: Rows, entity: str) -> pl.DataFrame:
    """The rejects, cause malformed_record, of the records that `decode` set apart; the evidence is their beginning."""
    if not rows.broken:
        return no_rejects()
    return pl.DataFrame(
        [
            {"ordinal": ordinal, "entity": entity, "cause": "malformed_record", "message": why,
             "evidence": json.dumps({"record": excerpt(bytes(rows.raw[ordinal]))})}
            for ordinal, why in sorted(rows.broken.items())
        ],
        schema=REJECT_SCHEMA,
    )  # fmt: skip


def all_rejects(*frames: pl.DataFrame) -> pl.DataFrame:
    """Reject frames as one, in the order of the page."""
    some = [frame for frame in frames if not frame.is_empty()]
    return pl.concat(some).sort("ordinal", maintain_order=True) if some else no_rejects()


def _rejects(bad: pl.DataFrame, rules: Sequence[Rule], subject: Subject, evidence: Mapping[str, str] | Sequence[str]) -> pl.DataFrame:
    named = evidence if isinstance(evidence, Mapping) else {name: name for name in evidence}
    shown = named or {name: name for name, kind in bad.schema.items() if kind == pl.String}

    def one_of(values: Iterable[str]) -> pl.Expr:
        return pl.col("_rule").replace_strict(dict(enumerate(values)), return_dtype=pl.String)

    def column(name: str | None, kind: Any = pl.String) -> pl.Expr:
        return pl.lit(None, kind) if name is None else pl.col(name).cast(kind)

    return bad.select(
        pl.col(ORDINAL).cast(pl.Int64),
        entity=pl.lit(subject.entity),
        source_key=column(subject.key),
        cause=one_of(rule.cause for rule in rules),
        field=one_of(rule.field for rule in rules),
        message=one_of(rule.message for rule in rules),
        evidence=pl.struct([pl.col(column).alias(name) for column, name in shown.items()]).struct.json_encode(),
        customer_key=column(subject.customer),
        amount=column(subject.amount, AMOUNT),
        currency=column(subject.currency),
    )


def _columns(rows: Sequence[dict[str, Any]], names: list[str]) -> dict[str, Sequence[Any]]:
    """The values of each field, all fields in one go where every record has them all; else {}."""
    if not rows or len(names) < 2:
        return {}
    try:
        return dict(zip(names, zip(*map(itemgetter(*names), rows), strict=True), strict=True))
    except KeyError:
        return {}


def _values_of(rows: Rows, name: str) -> Sequence[Any]:
    return _values(rows.sound, name) if rows.alike is None else rows.alike.values(name)


def _values(rows: list[dict[str, Any]], name: str) -> list[Any]:
    if "." not in name:
        return [row.get(name) for row in rows]
    values: list[Any] = list(rows)
    for step in name.split("."):
        values = [value.get(step) if type(value) is dict else None for value in values]
    return values


def _text_series(column: str, values: Sequence[Any]) -> tuple[pl.Series, set[type]]:
    """The values as texts, and what kinds they are of, where that had to be looked at."""
    try:
        return pl.Series(column, values, dtype=pl.String, strict=True), set()
    except (TypeError, ValueError, OverflowError):  # not all are texts
        kinds = set(map(type, values))
    if kinds <= {bool, type(None)}:
        return pl.Series(column, values, dtype=pl.Boolean, strict=True).cast(pl.String), kinds
    return pl.Series(column, [_text(value) for value in values], dtype=pl.String, strict=True), kinds


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if value is True:
        return "true"
    if value is False:
        return "false"
    return str(value) if isinstance(value, int) else msgspec.json.encode(value, enc_hook=str).decode()
