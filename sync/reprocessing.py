"""Once more through the same door: landed bytes are mapped and promoted again, as they are or with a person's correction.

The original is never changed. A correction is a raw page of its own (kind `edit`) that names its parent and the fields it sets.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import msgspec
import polars as pl
import sqlalchemy as sa

from db.engine import Reading, Writing, writing
from sync import landing, streams
from sync.canonical.checks import frame_schema
from sync.canonical.contracts import CONTRACTS
from sync.connections import Connection, Landscape
from sync.errors import DataError
from sync.landing import Arrival, raw_record_id, split_record_id
from sync.ports import Mapped, Page, Source
from sync.promotion import MappedPage, Setting, promote
from sync.pull_batch import requires_customers
from sync.strict_json import NotStrict, loads

_EXACT = msgspec.json.Encoder(decimal_format="number")
EDIT = "edit"
MOST_WAITING = 1_000


@dataclass(frozen=True, slots=True)
class Again:
    """What became of a record this time: promoted, unchanged, superseded, duplicates, quarantined or missing; why, if not promoted."""

    raw_record_id: int
    outcome: str
    words: str | None = None


def reprocess(
    conn: Writing,
    connection: Connection,
    landscape: Landscape,
    source: Source,
    raw_record_ids: Collection[int],
    *,
    now: datetime,
) -> list[Again]:
    """Maps and promotes landed records of `connection` again, in the caller's transaction; one answer per id, in ascending order.

    `source` only maps. Records that fail again are quarantined again, under the same exception. Raises db.bulk.Contended like
    `promote`: then the transaction is to be done again.
    """
    answers: dict[int, Again] = {}
    by_stream: dict[str, list[tuple[MappedPage, list[int]]]] = {}
    by_page: dict[int, list[int]] = {}
    for record_id in sorted(set(raw_record_ids)):
        by_page.setdefault(split_record_id(record_id)[0], []).append(record_id)
    for page_id, wanted in by_page.items():
        try:
            stream, mapped = _mapped_again(conn, source, page_id)
        except landing.RawMissing as error:
            answers.update({each: Again(each, "missing", str(error)) for each in wanted})
        except DataError as error:
            answers.update({each: Again(each, "quarantined", error.detail) for each in wanted})
        else:
            by_stream.setdefault(stream, []).append((MappedPage(page_id, seen_before=True, mapped=mapped), wanted))
    for stream, pages in by_stream.items():
        setting = _setting(conn, connection, landscape, source, stream, now)
        ids = [each for _, wanted in pages for each in wanted]
        outcome = promote(conn, setting, [page for page, _ in pages], only=ids)
        for record_id, verdict in outcome.records.select("raw_record_id", "outcome").iter_rows():
            answers[record_id] = Again(record_id, _as_replayed(verdict))
    return [answers.get(each, Again(each, "missing", "the page holds no such record")) for each in sorted(set(raw_record_ids))]


def _as_replayed(verdict: str) -> str:
    """A record that is there already says `unchanged`: that its bytes were seen before is the point of a replay."""
    return "unchanged" if verdict == "duplicates" else verdict


def _setting(conn: Reading, connection: Connection, landscape: Landscape, source: Source, stream: str, now: datetime) -> Setting:
    state = streams.state(conn, connection.name, stream)
    return Setting(
        source=connection.name,
        stream=stream,
        region=connection.region,
        now=now,
        live_since=None if state is None else state.live_since,
        always_history=connection.history == "business_dates",
        require_customer=requires_customers(connection, source.streams()),
        reporting_currency=landscape.reporting_currency,
    )


def edit(conn: Writing, record_id: int, fields: Mapping[str, str | None], *, now: datetime) -> int:
    """Lands a corrected copy of a raw record and returns its own raw record id; `fields` are canonical columns, or fields of the
    source's record, with their new values as text (None: empty). Nothing is promoted yet: `reprocess` does that.

    Raises landing.RawMissing when the original is gone, ValueError when nothing is changed.
    """
    if not fields:
        raise ValueError(f"the edit of record {record_id} changes nothing")
    page_id, _ = split_record_id(record_id)
    parent = landing.read(conn, page_id)
    body = json.dumps({"parent": record_id, "fields": dict(fields)}, sort_keys=True).encode()
    page = Page(body=body, content_type="application/json", cursor=None, name=parent.page.name, headers={"parent": str(record_id)})
    landed = landing.land(
        conn,
        [Arrival(page, EDIT, 0, 1)],
        connection=parent.connection,
        stream=parent.stream,
        region=parent.region,
        run_id=None,
        now=now,
    )
    return raw_record_id(landed[0].page_id, 0)


def _mapped_again(conn: Reading, source: Source, page_id: int) -> tuple[str, Mapped]:
    stored = landing.read(conn, page_id)
    if stored.kind != EDIT:
        return stored.stream, source.map(stored.stream, stored.page)
    document = json.loads(stored.page.body)
    parent_page, ordinal = split_record_id(int(document["parent"]))
    original = landing.read(conn, parent_page)
    if original.kind == EDIT:
        stream, mapped = _mapped_again(conn, source, parent_page)
        return stream, _with_columns(_single(mapped, 0), document["fields"])
    page, theirs = _edited_page(original.page, ordinal, document["fields"])
    mapped = source.map(original.stream, page)
    ours = {name: value for name, value in document["fields"].items() if name not in theirs}
    return original.stream, _with_columns(_single(mapped, 0 if theirs else ordinal), ours)


def _edited_page(page: Page, ordinal: int, fields: Mapping[str, str | None]) -> tuple[Page, set[str]]:
    """A JSON page with only this record, its own fields set, and which fields those were; other pages come back as they are."""
    if "json" not in page.content_type:
        return page, set()
    try:
        document = loads(page.body)
    except NotStrict:
        return page, set()
    found = _records(document)
    if found is None or ordinal >= len(found):
        return page, set()
    record = found[ordinal]
    theirs = {name for name in fields if name in record}
    if not theirs:
        return page, set()
    found[:] = [{**record, **{name: fields[name] for name in theirs}}]
    return replace(page, body=_EXACT.encode(document)), theirs


def _records(document: Any) -> list[dict[str, Any]] | None:
    """The list of records of a JSON answer: the first list of objects met on the way down."""
    if isinstance(document, list):
        return document if document and all(isinstance(each, dict) for each in document) else None
    if isinstance(document, dict):
        for value in document.values():
            found = _records(value) if isinstance(value, (dict, list)) else None
            if found is not None:
                return found
    return None


def _single(mapped: Mapped, ordinal: int) -> Mapped:
    """The page as if it held this record only, as its ordinal 0."""
    mine = pl.col("ordinal") == ordinal
    only = {entity: frame.filter(mine).with_columns(pl.lit(0, dtype=pl.Int64).alias("ordinal")) for entity, frame in mapped.frames.items()}
    rejects = mapped.rejects.filter(mine).with_columns(pl.lit(0, dtype=pl.Int64).alias("ordinal"))
    return Mapped(1, {entity: frame for entity, frame in only.items() if not frame.is_empty()}, rejects, (), {})


def _with_columns(mapped: Mapped, fields: Mapping[str, str | None]) -> Mapped:
    """The rows of the record with these canonical columns set, wherever an entity has and allows them.

    Raises DataError for a value that can't be read as the column's type.
    """
    if not fields:
        return mapped
    frames = {}
    for entity, frame in mapped.frames.items():
        contract = CONTRACTS[entity]
        mine = {name: value for name, value in fields.items() if name in contract.editable}
        frames[entity] = frame.with_columns([_literal(name, value, frame_schema(contract)[name]) for name, value in mine.items()])
    return replace(mapped, frames=frames)


def _literal(name: str, value: str | None, dtype: pl.DataType) -> pl.Expr:
    try:
        series = pl.Series([value], dtype=pl.String)
        read = series.str.to_date("%Y-%m-%d") if dtype == pl.Date() else series.cast(dtype)
    except pl.exceptions.PolarsError as error:
        raise DataError(f"{name}: {value!r} can't be read as {dtype}", cause="bad_value", evidence={name: value}) from error
    return pl.lit(read.item(), dtype=dtype).alias(name)


def retry_unknown_customers(
    engine: sa.Engine, connection: Connection, landscape: Landscape, source: Source, *, now: datetime
) -> Sequence[Again]:
    """Promotes again what waited for a customer that has come meanwhile; their exceptions resolve themselves."""
    with writing(engine) as conn:
        ids = conn.scalars(
            sa.text(
                "select e.raw_record_id from process.exception e join canonical.customer c on c.source = e.connection"
                " and c.source_key = e.customer_key where e.connection = :connection and e.cause = 'unknown_customer'"
                " and e.kind = 'record' and e.raw_record_id is not null and e.state in ('new', 'acknowledged', 'waiting', 'regressed')"
                " order by e.id limit :most"
            ),
            {"connection": connection.name, "most": MOST_WAITING},
        ).all()
        return reprocess(conn, connection, landscape, source, [int(each) for each in ids], now=now) if ids else []
