"""A delimited file -> canonical frames, as its declaration says. Pure and vectorised: bytes in, frames out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, time

import polars as pl

from sync.errors import DataError
from sync.ports import REJECT_SCHEMA, ControlTotal, Mapped
from sync.systems.flat_files import totals, wire
from sync.systems.flat_files.columns import PROBLEM_SCHEMA, typed
from sync.systems.flat_files.declaration import Condition, Feed, FileKind, Rule, Scalar
from sync.systems.flat_files.targets import DTYPES, Kind, contract, field_type
from sync.systems.flat_files.wire import raw

_SEQUENCES = 10**6
_PERIOD_LIMIT = 10**9
UTC_TIME = DTYPES["time"]


@dataclass(frozen=True, slots=True)
class Speaker:
    """For whom a file speaks: the connection's region, its one legal entity if it has one, its zone; `regions` by legal entity."""

    region: str
    legal_entity: str | None = None
    zone: str | None = None
    regions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Arrival:
    """How a file arrived: `received_at` (UTC), its manifest's text, and what the cursor knew of its name and sequence."""

    name: str
    received_at: datetime
    manifest: str | None = None
    conflict: str | None = None
    """In words: which earlier file had this name or sequence with other content."""
    previous_sequence: int | None = None


@dataclass(frozen=True, slots=True)
class _Teller:
    """One file while it is mapped: how it came, what it says, how it is declared, for whom it speaks."""

    arrival: Arrival
    table: wire.Table
    kind: FileKind
    speaker: Speaker


def map_file(body: bytes, arrival: Arrival, kind: FileKind, speaker: Speaker) -> Mapped:
    """The file in canonical words. Raises DataError when it can't be believed as a whole: unreadable, cut, its control totals
    disagree, a refused conflict, or more rejects than `reject_limit_share` allows. Then nothing of it lands.
    """
    if arrival.conflict is not None and kind.on_conflict == "refuse":
        raise DataError(f"{arrival.name}: {arrival.conflict}", cause="file_conflict", evidence={"conflict": arrival.conflict})
    told = totals.manifest(body, arrival.manifest, kind)
    table = wire.table(wire.decode(body, kind), kind)
    lines, problems = typed(table, kind, speaker.zone)
    voices = [voice for voice in (totals.trailer(table, kind), told) if voice is not None]
    verdicts = totals.checked(arrival.name, table, lines, kind, voices) + _noted(arrival, table, kind)
    told_by = _Teller(arrival, table, kind, speaker)
    fed = [(feed, *_fed(lines, feed, told_by)) for feed in kind.entities]
    rejects = _rejects(pl.concat([problems, *(wrong for _, _, wrong in fed)]), kind, {feed.entity: rows for feed, rows, _ in fed})
    limit = kind.reject_limit_share
    if limit is not None and rejects.height > limit * table.records:
        raise DataError(
            f"{arrival.name}: {rejects.height} of {table.records} lines can't be read, more than the share of {limit} that is allowed",
            cause="file_unreadable", evidence={"rejects": rejects.height, "records": table.records, "first": rejects["message"][:5].to_list()},
        )  # fmt: skip
    frames: dict[str, pl.DataFrame] = {}
    for feed, rows, _ in fed:
        kept = _once(rows.join(rejects, on="ordinal", how="anti"), feed)
        held = frames.get(feed.entity)
        frames[feed.entity] = (kept if held is None else pl.concat([held, kept], how="diagonal")).sort("ordinal", maintain_order=True)
    seen = {name: kind.columns[name].type if name in kind.columns else "text" for name in table.names if name}
    return Mapped(table.records, frames, rejects, verdicts, seen)


def _noted(arrival: Arrival, table: wire.Table, kind: FileKind) -> tuple[ControlTotal, ...]:
    """Verdicts about the file's place among the others: a gap before it, another file under its name."""
    found: list[ControlTotal] = []
    _, sequence = wire.numbering(arrival.name, table.header, kind)
    if sequence is not None and arrival.previous_sequence is not None:
        follows = sequence <= arrival.previous_sequence + 1
        place = f"{arrival.name}: sequence {sequence} after {arrival.previous_sequence}"
        found.append(ControlTotal(place, "sequence", follows))
    if arrival.conflict is not None and kind.on_conflict == "note":
        found.append(ControlTotal(arrival.name, "file_conflict", agree=False))
    return tuple(found)


def _fed(lines: pl.DataFrame, feed: Feed, teller: _Teller) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(the rows of one feed, the problems its rules found)."""
    held = pl.all_horizontal([condition(one) for one in feed.when]) if feed.when else pl.lit(True)
    chosen = lines.with_columns(is_deleted=~held.fill_null(value=False))
    if feed.otherwise == "nothing":
        chosen = chosen.filter(~pl.col("is_deleted"))
    wrong = [_keyless(chosen, feed)]
    columns: list[pl.Expr] = []
    for name, rule in feed.fields.items():
        if name != "legal_entity":
            columns.append(value(rule, field_type(feed.entity, name)).alias(name))
        if rule.values is not None and rule.default is None and rule.column is not None:
            wrong.append(_unmapped(chosen, rule.column, rule.values))
    speaker = teller.speaker
    entity = feed.fields.get("legal_entity")
    legal_entity = value(entity, "text") if entity else pl.lit(speaker.legal_entity, dtype=pl.String)
    region = legal_entity.replace_strict(dict(speaker.regions), default=speaker.region, return_dtype=pl.String)
    frame = chosen.select(
        "ordinal",
        "is_deleted",
        *columns,
        source_key=pl.concat_str([pl.col(key).cast(pl.String) for key in feed.key], separator="/"),
        source_version=_version(feed, teller),
        legal_entity=legal_entity,
        region=region,
        changed_at=_changed_at(feed, teller),
    )
    return frame, pl.concat(wrong)


def _once(rows: pl.DataFrame, feed: Feed) -> pl.DataFrame:
    """One row per key where the feed says so: the first or the last in business order."""
    if feed.once is None:
        return rows
    ordered = rows.sort("changed_at", "ordinal", descending=feed.once == "last", nulls_last=True)
    return ordered.unique("source_key", keep="first", maintain_order=True)


def condition(one: Condition) -> pl.Expr:
    """One condition as a boolean expression over the typed columns."""
    column = pl.col(one.column)
    text = column.cast(pl.String)
    accepted = [_text(item) for item in (one.values or (() if one.value is None else (one.value,)))]
    return {
        "present": column.is_not_null(),
        "absent": column.is_null(),
        "equals": text.is_in(accepted),
        "in": text.is_in(accepted),
        "differs": column.is_null() | ~text.is_in(accepted),
        "equals_column": column == pl.col(one.other or one.column),
        "nonzero": column != 0,
        "positive": column > 0,
        "negative": column < 0,
    }[one.test]


def value(rule: Rule, kind: Kind) -> pl.Expr:
    """A field's value as an expression of the field's own type."""
    dtype = DTYPES[kind]
    if rule.cases is not None:
        found = _constant(rule.default, kind)
        for case in reversed(rule.cases):
            holds = pl.all_horizontal([condition(one) for one in case.when])
            found = pl.when(holds).then(_constant(case.value, kind)).otherwise(found)
        return found
    if rule.column is not None and rule.values is not None:
        mapped = {key: _scalar(item, kind) for key, item in rule.values.items()}
        text = pl.col(rule.column).cast(pl.String)
        return text.replace_strict(mapped, default=_scalar(rule.default, kind), return_dtype=dtype)
    if rule.join is not None:
        return pl.concat_str([pl.col(column).cast(pl.String) for column in rule.join], separator=rule.separator, ignore_nulls=True)
    if rule.value is not None:
        return _constant(rule.value, kind)
    if rule.sum is not None:
        found = pl.sum_horizontal([pl.col(column).cast(dtype) for column in rule.sum])
    else:
        found = pl.coalesce([pl.col(column).cast(dtype) for column in (rule.first or (rule.column or "",))])
    found = -found if rule.negate else found
    return found if rule.default is None else found.fill_null(_constant(rule.default, kind))


def _text(item: Scalar) -> str:
    return str(item).lower() if isinstance(item, bool) else str(item)


def _scalar(item: Scalar | None, kind: Kind) -> Scalar | None:
    return _text(item) if kind == "text" and item is not None else item


def _constant(item: Scalar | None, kind: Kind) -> pl.Expr:
    if item is None:
        return pl.lit(None, dtype=DTYPES[kind])
    if kind in ("date", "time", "amount"):
        text = pl.lit(_text(item))
        return text.cast(DTYPES[kind]) if kind == "amount" else text.str.to_date().cast(DTYPES[kind])
    return pl.lit(_scalar(item, kind), dtype=DTYPES[kind])


def _version(feed: Feed, teller: _Teller) -> pl.Expr:
    """The version of a row: its own column; else the file's period and sequence; else 0, and the later received wins."""
    if feed.version is not None:
        column = pl.col(feed.version)
        kept = teller.kind.columns[feed.version].type
        if kept == "time":
            return column.dt.epoch("us")
        return column.dt.epoch("d").cast(pl.Int64) if kept == "date" else column.cast(pl.Int64, strict=False)
    period, sequence = wire.numbering(teller.arrival.name, teller.table.header, teller.kind)
    number = (period or 0) % _PERIOD_LIMIT * _SEQUENCES + (sequence or 0) % _SEQUENCES
    return pl.lit(number, dtype=pl.Int64)


def _changed_at(feed: Feed, teller: _Teller) -> pl.Expr:
    """When the source changed the row: its first given column, else the file's arrival. A day counts as its end in UTC's or
    the connection's zone; nothing is changed later than it arrived.
    """
    received = pl.lit(teller.arrival.received_at.astimezone(UTC), dtype=UTC_TIME)
    stamps = []
    for name in feed.changed_at:
        column = pl.col(name)
        if teller.kind.columns[name].type == "date":
            end = column.dt.combine(time(23, 59, 59), "us")
            column = end.dt.replace_time_zone(teller.speaker.zone or "UTC", ambiguous="latest", non_existent="null").dt.convert_time_zone(
                "UTC"
            )
        stamps.append(column.cast(UTC_TIME))
    return pl.min_horizontal(pl.coalesce([*stamps, received]), received)


def _keyless(chosen: pl.DataFrame, feed: Feed) -> pl.DataFrame:
    """Lines that feed the entity but have no key for it."""
    absent = pl.any_horizontal([pl.col(key).is_null() for key in feed.key])
    return _problem(
        chosen.filter(absent), feed.key[0], "missing_field", pl.lit(f"{', '.join(feed.key)}: the key of {feed.entity} is empty")
    )


def _unmapped(chosen: pl.DataFrame, column: str, values: Mapping[str, Scalar]) -> pl.DataFrame:
    """Lines whose value in `column` the declaration does not name."""
    text = pl.col(column).cast(pl.String)
    strange = chosen.filter(text.is_not_null() & ~text.is_in(list(values)))
    return _problem(strange, column, "bad_value", pl.format(f"{column} {{}} is none of {', '.join(values)}", text))


def _problem(frame: pl.DataFrame, column: str, cause: str, message: pl.Expr) -> pl.DataFrame:
    return frame.select("ordinal", column=pl.lit(column), cause=pl.lit(cause), message=message, text=pl.col(raw(column))).cast(
        PROBLEM_SCHEMA
    )


def _rejects(problems: pl.DataFrame, kind: FileKind, frames: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """One reject per line: its first problem in words, all of its problems as evidence, and what it was worth."""
    if problems.is_empty():
        return pl.DataFrame(schema=REJECT_SCHEMA)
    order = {name: place for place, name in enumerate(["", *kind.columns])}
    ranked = problems.with_columns(place=pl.col("column").replace_strict(order, return_dtype=pl.Int64)).sort("ordinal", "place")
    evidence = {ordinal: _evidence(group) for (ordinal,), group in ranked.group_by("ordinal", maintain_order=True)}
    first = ranked.unique("ordinal", keep="first", maintain_order=True)
    fed_by = {name: _entity_of(kind, name) for name in order}
    feed = _worth(kind)
    worth = frames[feed].unique("ordinal", keep="first", maintain_order=True)
    amount, currency = contract(feed).money or ("", "")
    known = worth.select(
        "ordinal",
        "source_key",
        customer_key=pl.col("customer_key") if "customer_key" in worth.columns else pl.lit(None, dtype=pl.String),
        amount=pl.col(amount) if amount in worth.columns else pl.lit(None, dtype=REJECT_SCHEMA["amount"]),
        currency=pl.col(currency) if currency in worth.columns else pl.lit(None, dtype=pl.String),
    )
    return (
        first.join(known, on="ordinal", how="left", maintain_order="left")
        .select(
            "ordinal",
            pl.col("column").replace_strict(fed_by, return_dtype=pl.String).alias("entity"),
            "source_key",
            "cause",
            pl.col("column").alias("field"),
            "message",
            pl.col("ordinal").replace_strict(evidence, return_dtype=pl.String).alias("evidence"),
            "customer_key",
            "amount",
            "currency",
        )
        .cast(pl.Schema(REJECT_SCHEMA))
    )


def _worth(kind: FileKind) -> str:
    """The entity that says what a line is worth: the first with an amount of its own."""
    valued = [feed.entity for feed in kind.entities if contract(feed.entity).money is not None]
    return (valued or [kind.entities[0].entity])[0]


def _entity_of(kind: FileKind, column: str) -> str:
    """The entity that a broken column is reported under: the most valuable one that reads it."""
    readers = [feed.entity for feed in kind.entities if column in feed.columns()]
    worth = _worth(kind)
    return worth if worth in readers or not readers else readers[0]


def _evidence(group: pl.DataFrame) -> str:
    problems = [{"field": p["column"], "cause": p["cause"], "value": p["text"]} for p in group.iter_rows(named=True)]
    return json.dumps({"problems": problems}, ensure_ascii=False)
