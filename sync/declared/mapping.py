"""Typed records -> canonical frames and rejects, as their declaration says. Pure and vectorised."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, time

import polars as pl

from sync.connections import Connection, Landscape
from sync.declared.columns import PROBLEM_SCHEMA, typed
from sync.declared.declaration import Declaration, Feed, Scalar
from sync.declared.fields import DTYPES, contract, field_type
from sync.declared.records import Records, raw
from sync.declared.rules import condition, value
from sync.errors import DataError
from sync.ports import REJECT_SCHEMA, Mapped

UTC_TIME = DTYPES["time"]


@dataclass(frozen=True, slots=True)
class Speaker:
    """For whom a page speaks: the connection's region, its one legal entity if it has one, its zone; `regions` by legal entity."""

    region: str
    legal_entity: str | None = None
    zone: str | None = None
    regions: Mapping[str, str] = field(default_factory=dict)


def speaker_of(connection: Connection, landscape: Landscape) -> Speaker:
    """The speaker that `connection` is."""
    single = connection.legal_entities[0] if len(connection.legal_entities) == 1 else None
    regions = {entity.code: entity.region for entity in landscape.legal_entities}
    return Speaker(region=connection.region, legal_entity=single, zone=connection.zone, regions=regions)


@dataclass(frozen=True, slots=True)
class Telling:
    """How a page came: its `name` for error messages, `received_at` (UTC), and the `version` of rows whose feed names no version column."""

    name: str
    received_at: datetime
    version: int = 0


@dataclass(frozen=True, slots=True)
class _Teller:
    telling: Telling
    declaration: Declaration
    speaker: Speaker


def canonical(records: Records, declaration: Declaration, speaker: Speaker, telling: Telling) -> Mapped:
    """The records in canonical words. Raises DataError when more of them than `reject_limit_share` allows can't be read."""
    lines, problems = typed(records, declaration, speaker.zone)
    return fed(records, lines, problems, declaration, speaker, telling)


def fed(
    records: Records, lines: pl.DataFrame, problems: pl.DataFrame, declaration: Declaration, speaker: Speaker, telling: Telling
) -> Mapped:
    """Like `canonical`, for records whose columns `typed` has read already as `lines` and `problems`."""
    teller = _Teller(telling, declaration, speaker)
    fed_by = [(feed, *_fed(lines, feed, teller)) for feed in declaration.entities]
    rejects = _rejects(
        pl.concat([problems, *(wrong for _, _, wrong in fed_by)]), declaration, {feed.entity: rows for feed, rows, _ in fed_by}
    )
    limit = declaration.reject_limit_share
    if limit is not None and rejects.height > limit * records.records:
        raise DataError(
            f"{telling.name}: {rejects.height} of {records.records} lines can't be read, more than the share of {limit} that is allowed",
            cause="file_unreadable", evidence={"rejects": rejects.height, "records": records.records, "first": rejects["message"][:5].to_list()},
        )  # fmt: skip
    frames: dict[str, pl.DataFrame] = {}
    for feed, rows, _ in fed_by:
        kept = _once(rows.join(rejects, on="ordinal", how="anti"), feed)
        held = frames.get(feed.entity)
        frames[feed.entity] = (kept if held is None else pl.concat([held, kept], how="diagonal")).sort("ordinal", maintain_order=True)
    seen = {name: declaration.columns[name].type if name in declaration.columns else "text" for name in records.names if name}
    return Mapped(records.records, frames, rejects, fields_seen=seen)


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


def _version(feed: Feed, teller: _Teller) -> pl.Expr:
    """The version of a row: its own column, else that of its page."""
    if feed.version is None:
        return pl.lit(teller.telling.version, dtype=pl.Int64)
    column = pl.col(feed.version)
    kept = teller.declaration.columns[feed.version].type
    if kept == "time":
        return column.dt.epoch("us")
    return column.dt.epoch("d").cast(pl.Int64) if kept == "date" else column.cast(pl.Int64, strict=False)


def _changed_at(feed: Feed, teller: _Teller) -> pl.Expr:
    """When the source changed the row: its first given column, else the file's arrival. A day counts as its end in UTC's or
    the connection's zone; nothing is changed later than it arrived.
    """
    received = pl.lit(teller.telling.received_at.astimezone(UTC), dtype=UTC_TIME)
    stamps = []
    for name in feed.changed_at:
        column = pl.col(name)
        if teller.declaration.columns[name].type == "date":
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


def _rejects(problems: pl.DataFrame, declaration: Declaration, frames: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """One reject per line: its first problem in words, all of its problems as evidence, and what it was worth."""
    if problems.is_empty():
        return pl.DataFrame(schema=REJECT_SCHEMA)
    order = {name: place for place, name in enumerate(["", *declaration.columns])}
    ranked = problems.with_columns(place=pl.col("column").replace_strict(order, return_dtype=pl.Int64)).sort("ordinal", "place")
    evidence = {ordinal: _evidence(group) for (ordinal,), group in ranked.group_by("ordinal", maintain_order=True)}
    first = ranked.unique("ordinal", keep="first", maintain_order=True)
    fed_by = {name: _entity_of(declaration, name) for name in order}
    feed = _worth(declaration)
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


def _worth(declaration: Declaration) -> str:
    """The entity that says what a line is worth: the first with an amount of its own."""
    valued = [feed.entity for feed in declaration.entities if contract(feed.entity).money is not None]
    return (valued or [declaration.entities[0].entity])[0]


def _entity_of(declaration: Declaration, column: str) -> str:
    """The entity that a broken column is reported under: the most valuable one that reads it."""
    readers = [feed.entity for feed in declaration.entities if column in feed.columns()]
    worth = _worth(declaration)
    return worth if worth in readers or not readers else readers[0]


def _evidence(group: pl.DataFrame) -> str:
    problems = [{"field": p["column"], "cause": p["cause"], "value": p["text"]} for p in group.iter_rows(named=True)]
    return json.dumps({"problems": problems}, ensure_ascii=False)
