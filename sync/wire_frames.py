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
from decimal import Decimal
from operator import itemgetter
from typing import Any, Literal

import msgspec
import polars as pl

from db.money import AMOUNT, currencies, fits_currency, parse_amount
from sync.errors import DataError
from sync.ports import REJECT_SCHEMA, no_rejects
from sync.strict_json import TwinKey, no_twins
from sync.wire_salvage import salvage
from sync.wire_whole import whole

ORDINAL = "ordinal"
_EVIDENCE_CHARS = 2_000
_SAMPLE = 200
_NESTED = (dict, list)
_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])
_EXACT = msgspec.json.Decoder(float_hook=Decimal)


@dataclass(frozen=True, slots=True)
class Split:
    """A page taken apart: `records`, each as its own bytes, and `beside`, the members next to them (count, next link ...)."""

    records: Sequence[msgspec.Raw | bytes]
    beside: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Rows:
    """The records of a page: `sound` by their ordinals, `broken` ordinal -> why, `raw` every record's bytes."""

    ordinals: list[int]
    sound: list[dict[str, Any]]
    broken: Mapping[int, str]
    raw: Sequence[msgspec.Raw | bytes]

    @property
    def total(self) -> int:
        """How many records the page held, broken ones included."""
        return len(self.raw)


def split(body: bytes, *path: str) -> Split:
    """The records in the array at `path`. A page that is no JSON, or lacks the array, raises DataError `file_unreadable`.

    A page that is JSON but for a NaN or an Infinity is still taken apart, so that only the record that holds it is lost.
    """
    try:
        members: dict[str, msgspec.Raw] = _OBJECT.decode(body)
        for step in path[:-1]:
            members = _OBJECT.decode(members[step])
        records = _ARRAY.decode(members[path[-1]])
        beside = {key: _EXACT.decode(value) for key, value in members.items() if key != path[-1]}
        return Split(records, beside)
    except KeyError as error:
        raise DataError(
            f"the page has no member {error}: expected its records at {'.'.join(path)}",
            cause="file_unreadable", evidence={"begins": _excerpt(body)},
        ) from error  # fmt: skip
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
        salvaged = salvage(body, path)
        if salvaged is None:
            raise DataError(
                f"the page is no JSON with records at {'.'.join(path)}: {error}",
                cause="file_unreadable", evidence={"begins": _excerpt(body)},
            ) from error  # fmt: skip
        return Split(*salvaged)


def decode(records: Sequence[msgspec.Raw | bytes]) -> Rows:
    """Every record as a dict whose non-integer numbers are their exact text; those that can't be believed are set apart.

    Broken: no JSON object, NaN, bytes that are no UTF-8, a NUL character, a key that stands twice in one object.
    """
    decoder = msgspec.json.Decoder(float_hook=_plain)
    undoubted = whole(records, decoder)
    if undoubted is not None:
        return Rows(list(range(len(records))), undoubted, {}, records)
    ordinals: list[int] = []
    sound: list[dict[str, Any]] = []
    broken: dict[int, str] = {}
    for ordinal, record in enumerate(records):
        raw = bytes(record)
        try:
            row = decoder.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            broken[ordinal] = f"the record is no strict JSON: {error}"
            continue
        why = _objection(raw, row)
        if why is None:
            ordinals.append(ordinal)
            sound.append(row)
        else:
            broken[ordinal] = why
    return Rows(ordinals, sound, broken, records)


def text_frame(rows: Rows, fields: Mapping[str, str] | Sequence[str]) -> pl.DataFrame:
    """A frame of the sound records: `ordinal` and text columns; `fields` maps column -> field, dots go into objects.

    Absent and null are null, true and false are "true" and "false", an object or a list is its JSON text.
    """
    names = fields if isinstance(fields, Mapping) else {name: name for name in fields}
    plain = _columns(rows.sound, [name for name in names.values() if "." not in name])
    columns: dict[str, pl.Series] = {ORDINAL: pl.Series(ORDINAL, rows.ordinals, dtype=pl.Int64)}
    for column, name in names.items():
        columns[column] = _text_series(column, plain[name] if name in plain else _values(rows.sound, name))
    return pl.DataFrame(columns)


def fields_seen(rows: Rows) -> dict[str, str]:
    """Field -> kind (text, number, flag, object, list, null) over a bounded sample of the page, for schema drift."""
    kinds: dict[str, str] = {}
    step = max(1, len(rows.ordinals) // _SAMPLE)
    for ordinal in rows.ordinals[::step][:_SAMPLE]:
        for name, value in _EXACT.decode(bytes(rows.raw[ordinal])).items():
            if kinds.get(name, "null") == "null":
                kinds[name] = _kind(value)
    return kinds


def to_amount(column: str) -> pl.Expr:
    """The text column as an exact numeric(19,4) amount; null where it isn't one (float notation was made plain before)."""
    return parse_amount(pl.col(column))


def to_number(column: str, scale: int = 6) -> pl.Expr:
    """The text column as an exact decimal that is no money (a share, a count); null where it isn't one."""
    plain = pl.col(column).str.contains(rf"^-?\d{{1,20}}(\.\d{{1,{scale}}}0*)?$")
    return pl.when(plain).then(pl.col(column)).otherwise(None).cast(pl.Decimal(38, scale), strict=False)


def to_date(column: str, pattern: str = "%Y-%m-%d") -> pl.Expr:
    """The text column as a date; null where there is no such day."""
    return pl.col(column).str.to_date(pattern, strict=False)


def to_utc(column: str) -> pl.Expr:
    """An ISO 8601 moment with its offset (Z, +0000, +00:00) as UTC; null where it names no offset or is none."""
    return pl.col(column).str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%#z", time_unit="us", strict=False)


def to_flag(column: str) -> pl.Expr:
    """The text column as a boolean: true only for "true", "True", "1" and "X"."""
    return pl.col(column).is_in(["true", "True", "1", "X"]).fill_null(False)


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


def required(column: str, field: str | None = None) -> Rule:
    """The column must not be null or blank."""
    name = field or column
    empty = pl.col(column).is_null() | (pl.col(column).cast(pl.String).str.strip_chars() == "")
    return Rule("missing_field", name, empty, f"{name} is empty")


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
        for ordinal, row in zip(rows.ordinals, rows.sound, strict=True):
            if name not in row:
                if gone:
                    absent.append(ordinal)
            elif not nested and type(row[name]) in _NESTED:
                reshaped.append(ordinal)
        for ordinals, words in ((reshaped, "has become an object"), (absent, "is gone")):
            if ordinals:
                rules.append(Rule("schema_drift", name, pl.col(ORDINAL).is_in(ordinals), f"{name} {words}"))
    return rules


def settle(
    frame: pl.DataFrame, rules: Sequence[Rule], subject: Subject, evidence: Mapping[str, str] | Sequence[str] = ()
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The rows that keep every rule, and the rejects of the others: one each, by the first rule it breaks.

    `evidence` names the columns whose values the rejects show, or maps column -> name to show it by; all text columns when empty.
    """
    if not rules or frame.is_empty():
        return frame, no_rejects()
    broken = pl.coalesce(
        [pl.when(rule.bad.fill_null(False)).then(pl.lit(place, pl.Int32)).otherwise(None) for place, rule in enumerate(rules)]
    )
    judged = frame.with_columns(broken.alias("_rule"))
    if judged["_rule"].null_count() == judged.height:
        return frame, no_rejects()
    good = judged.filter(pl.col("_rule").is_null()).drop("_rule")
    bad = judged.filter(pl.col("_rule").is_not_null())
    return good, no_rejects() if bad.is_empty() else _rejects(bad, rules, subject, evidence)


def broken_rejects(rows: Rows, entity: str) -> pl.DataFrame:
    """The rejects, cause malformed_record, of the records that `decode` set apart; the evidence is their beginning."""
    if not rows.broken:
        return no_rejects()
    return pl.DataFrame(
        [
            {"ordinal": ordinal, "entity": entity, "cause": "malformed_record", "message": why,
             "evidence": json.dumps({"record": _excerpt(bytes(rows.raw[ordinal]))})}
            for ordinal, why in sorted(rows.broken.items())
        ],
        schema=REJECT_SCHEMA,
    )  # fmt: skip


def all_rejects(*frames: pl.DataFrame) -> pl.DataFrame:
    """Reject frames as one, in the order of the page."""
    return pl.concat([no_rejects(), *frames]).sort("ordinal", maintain_order=True)


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


def _objection(raw: bytes, row: object) -> str | None:
    if not isinstance(row, dict):
        return "the record is no JSON object"
    if b"\\u0000" in raw:
        return "the record holds a NUL character"
    # A closing quote followed by a colon ends a key, or is an escaped quote in a text: more of them than keys is a suspicion
    # only, which a strict reading then confirms or clears. Counting keeps the usual record off the slow road.
    if raw.count(b'":') == _keys(row) and not (b'" ' in raw or b'"\n' in raw or b'"\r' in raw or b'"\t' in raw):
        return None
    try:
        json.loads(raw, object_pairs_hook=no_twins)
    except TwinKey as twin:
        return str(twin)
    return None


def _keys(value: dict[str, Any]) -> int:
    count = len(value)
    for item in value.values():
        if type(item) is dict:
            count += _keys(item)
        elif type(item) is list:
            count += _keys_in(item)
    return count


def _keys_in(items: list[Any]) -> int:
    return sum(_keys(item) if type(item) is dict else _keys_in(item) if type(item) is list else 0 for item in items)


def _plain(number: str) -> str:
    """A JSON number's text without an exponent ('1.0E7' is '10000000'); one beyond any amount stays as it is, and is refused later."""
    if "e" not in number and "E" not in number:
        return number
    value = Decimal(number)
    return format(value, "f") if abs(value.adjusted()) <= 30 else number


def _columns(rows: Sequence[dict[str, Any]], names: list[str]) -> dict[str, Sequence[Any]]:
    """The values of each field, all fields in one go where every record has them all; else {}."""
    if not rows or len(names) < 2:
        return {}
    try:
        return dict(zip(names, zip(*map(itemgetter(*names), rows), strict=True), strict=True))
    except KeyError:
        return {}


def _values(rows: list[dict[str, Any]], name: str) -> list[Any]:
    if "." not in name:
        return [row.get(name) for row in rows]
    values: list[Any] = list(rows)
    for step in name.split("."):
        values = [value.get(step) if type(value) is dict else None for value in values]
    return values


def _text_series(column: str, values: Sequence[Any]) -> pl.Series:
    try:
        return pl.Series(column, values, dtype=pl.String, strict=True)
    except TypeError:
        return pl.Series(column, [_text(value) for value in values], dtype=pl.String, strict=True)


def _text(value: Any) -> str | None:
    if value is None or type(value) is str:
        return value
    if value is True:
        return "true"
    if value is False:
        return "false"
    return str(value) if isinstance(value, int) else msgspec.json.encode(value).decode()


def _kind(value: object) -> Literal["text", "number", "flag", "object", "list", "null"]:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "flag"
    if isinstance(value, str):
        return "text"
    if isinstance(value, dict):
        return "object"
    return "list" if isinstance(value, list) else "number"


def _excerpt(body: bytes) -> str:
    return body[:_EVIDENCE_CHARS].decode("utf-8", "replace").replace("\x00", "\ufffd")
