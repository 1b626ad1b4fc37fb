"""Promotion: mapped pages become canonical rows, in bulk, inside the caller's transaction.

Per record all or nothing: what passes its contract is merged, what does not is quarantined with its reason; every record is
counted once. Business events and the marks of touched measures are written beside the change that they come from.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

import polars as pl
import psycopg
import sqlalchemy as sa
from psycopg import sql

from db.bulk import Merged, content_hash, copy_frame, merge
from db.copying import copy_into
from db.engine import Writing, driver
from db.schema.canonical import ENTITIES, history_of
from db.schema.measure import touched as touched_table
from db.schema.process import event as event_table
from sync import events, quarantine
from sync.canonical.contracts import CONTRACTS, Contract
from sync.promotion_absent import with_absent
from sync.promotion_batch import (
    REJECTED,
    Batch,
    Counts,
    MappedPage,
    Outcome,
    Setting,
    checked,
    describe,
    gather,
)
from sync.promotion_gone import with_gone

CUSTOMER_BOUND = ("sales_order", "invoice")
"""Entities that are worth nothing without a customer whom we know."""

_NOT_CONTENT = frozenset({"source_key", "source_version", "changed_at"})
_TOUCHES: dict[str, tuple[tuple[str, str], ...]] = {
    "invoice": (("invoice", "source_key"), ("customer", "customer_key")),
    "payment_application": (("invoice", "invoice_key"),),
    "payment": (("customer", "customer_key"),),
    "customer": (("customer", "source_key"),),
    "sales_order": (("customer", "customer_key"),),
    "delivery": (("customer", "customer_key"),),
    "contract": (("customer", "customer_key"),),
    "credit_limit": (("customer", "customer_key"),),
    "forecast_item": (("forecast", "run"),),
    "bank_balance": (("balance", "account"),),
    "bank_transaction": (("balance", "account"),),
}
"""Entity -> (kind of group, column with its key) of the measures that a change of it touches."""


def promote(conn: Writing, setting: Setting, pages: Sequence[MappedPage], *, only: Collection[int] | None = None) -> Outcome:
    """Promotes the pages' records in their order and says what became of each; with `only`, those raw records alone.

    Raises db.bulk.Contended or IntegrityError when another transaction wrote the same records: the caller's transaction is then to
    be done again. A record that the database itself refuses is quarantined alone; its neighbours land.
    """
    batch = gather(pages)
    if only is not None:
        wanted = batch.records.filter(pl.col("raw_record_id").is_in(list(only)))
        batch = batch.only(wanted["record"])
    passed = with_absent(conn, setting, _with_customers(conn, setting, checked(batch)))
    return _settle(conn, setting, with_gone(conn, setting.source, passed))


def _settle(conn: Writing, setting: Setting, batch: Batch) -> Outcome:
    try:
        with conn.begin_nested():
            return _write(conn, setting, batch)
    except (sa.exc.DataError, sa.exc.IntegrityError) as error:
        if isinstance(error.orig, psycopg.errors.UniqueViolation):
            raise
        if batch.records.height > 1:
            left, right = batch.halves()
            return _settle(conn, setting, left) + _settle(conn, setting, right)
        return _write(conn, setting, _poisoned(batch, str(error.orig)))


def _poisoned(batch: Batch, message: str) -> Batch:
    """The single record that the database refuses, as a reject. Without any row of its own the refusal is ours: raise it."""
    for entity, frame in batch.frames.items():
        if not frame.is_empty():
            why = pl.DataFrame({"cause": ["malformed_record"], "field": [None], "message": [message.splitlines()[0]]})
            return batch.reject(describe(frame[:1], CONTRACTS[entity], why))
    raise ValueError(f"the database refused a record that has no row: {message}")


def _with_customers(conn: Writing, setting: Setting, batch: Batch) -> Batch:
    """The batch without orders and invoices whose customer is neither stored for this source nor in the batch itself."""
    if not setting.require_customer:
        return batch
    refused: list[pl.DataFrame] = []
    arriving = batch.frames["customer"]["source_key"] if "customer" in batch.frames else pl.Series([], dtype=pl.String)
    for entity in CUSTOMER_BOUND:
        frame = batch.frames.get(entity)
        if frame is None or frame.is_empty():
            continue
        asked = frame["customer_key"].unique()
        asked = asked.filter(~asked.is_in(arriving.implode()))
        stored = conn.scalars(
            sa.text("select source_key from canonical.customer where source = :source and source_key = any(:keys)"),
            {"source": setting.source, "keys": asked.to_list()},
        ).all()
        unknown = asked.filter(~asked.is_in(list(stored)))
        rows = frame.filter(pl.col("customer_key").is_in(unknown.implode()))
        if rows.is_empty():
            continue
        why = rows.select(
            pl.lit("unknown_customer").alias("cause"),
            pl.lit("customer_key").alias("field"),
            pl.format("{} names customer {}, whom this source has not brought", pl.lit(entity), pl.col("customer_key")).alias("message"),
        )
        refused.append(describe(rows, CONTRACTS[entity], why))
    return batch.reject(pl.concat(refused)) if refused else batch


def _write(conn: Writing, setting: Setting, batch: Batch) -> Outcome:
    """Merges, quarantines, resolves, tells events and marks measures for one checked batch."""
    verdicts: list[pl.DataFrame] = []
    entities: dict[str, dict[str, int]] = {}
    marks: list[pl.DataFrame] = []
    made = resolved = 0
    newest: datetime | None = None
    waiting = quarantine.waiting_keys(conn, setting.source)
    again = bool(batch.records["seen_before"].any())
    for entity in ENTITIES:
        frame = batch.frames.get(entity)
        if frame is None or frame.is_empty():
            continue
        rows = _enveloped(frame, setting, CONTRACTS[entity])
        merged = merge(conn, ENTITIES[entity], history_of(entity), rows.drop("record"), now=setting.now)
        judged = rows.with_columns(outcome=merged.outcomes["outcome"].cast(pl.String), recorded_at=pl.lit(setting.now))
        verdicts.append(judged.select("record", "outcome"))
        entities[entity] = dict(judged.group_by("outcome").len().sort("outcome").iter_rows())
        current = judged.filter(pl.col("outcome").is_in(["new", "changed"]))
        made += _tell(conn, entity, current, merged, again=again)
        marks += _touched(entity, current, merged.before)
        resolved += _resolve(conn, setting, entity, current, waiting)
        stamp = judged["changed_at"].max()
        if isinstance(stamp, datetime):
            newest = stamp if newest is None else max(newest, stamp)
    place = quarantine.Place(setting.source, setting.stream, setting.region, setting.reporting_currency)
    quarantine.add(conn, place, batch.rejects, now=setting.now)
    records = _per_record(batch, verdicts)
    counts = _counts(records)
    if counts.promoted:
        marks.append(pl.DataFrame({"kind": ["stream"], "key": [setting.stream]}))
    touched = _mark(conn, setting, marks)
    causes = {str(cause): int(n) for cause, n in batch.rejects.group_by("cause").len().iter_rows()}
    return Outcome(counts, records, entities, causes, made, touched, resolved, newest)


def _enveloped(frame: pl.DataFrame, setting: Setting, contract: type[Contract]) -> pl.DataFrame:
    """The frame with what every canonical row carries."""
    history = setting.always_history or setting.live_since is None
    backfilled = pl.lit(value=True) if history else pl.col("changed_at") < setting.live_since
    content = [name for name in contract.model_fields if name not in _NOT_CONTENT]
    return frame.with_columns(
        pl.lit(setting.source).alias("source"),
        pl.lit(contract.version, dtype=pl.Int64).alias("contract_version"),
        backfilled.alias("backfilled"),
        content_hash(frame, content).alias("content_hash"),
    )


def _per_record(batch: Batch, verdicts: list[pl.DataFrame]) -> pl.DataFrame:
    """record, raw_record_id, outcome: promoted if any row of it is news, quarantined if it was refused."""
    ranks = {"duplicate": 1, "unchanged": 2, "superseded": 3, "new": 4, "changed": 4}
    words = {0: "unchanged", 1: "duplicates", 2: "unchanged", 3: "superseded", 4: "promoted"}
    rows = pl.concat(verdicts) if verdicts else pl.DataFrame(schema={"record": pl.Int64, "outcome": pl.String})
    best = rows.select("record", pl.col("outcome").replace_strict(ranks, return_dtype=pl.Int32).alias("rank"))
    best = best.group_by("record").agg(pl.col("rank").max())
    refused = batch.rejects["record"].unique().implode()
    settled = batch.records.join(best, on="record", how="left", maintain_order="left").with_columns(
        pl.col("rank").fill_null(0).replace_strict(words, return_dtype=pl.String).alias("outcome")
    )
    return settled.select(
        "record",
        "raw_record_id",
        pl.when(pl.col("record").is_in(refused))
        .then(pl.lit("quarantined"))
        .when(pl.col("seen_before") & (pl.col("outcome") == "unchanged"))
        .then(pl.lit("duplicates"))
        .otherwise(pl.col("outcome"))
        .alias("outcome"),
    )


def _counts(records: pl.DataFrame) -> Counts:
    found = {str(outcome): int(n) for outcome, n in records.group_by("outcome").len().iter_rows(named=False)} if records.height else {}
    return Counts(received=records.height, **{name: found.get(name, 0) for name in Counts.__slots__ if name != "received"})


def _tell(conn: Writing, entity: str, current: pl.DataFrame, merged: Merged, *, again: bool) -> int:
    """Writes the events of the change; returns how many rules still have to look at (state new)."""
    told = events.diff(entity, current, merged.before)
    if told.is_empty():
        return 0
    told = _still_actionable(conn, told)
    if not again:
        copy_frame(conn, event_table, told)
        return told.filter(pl.col("state") == "new").height
    # Bytes that came before may tell an event that was told before: the database keeps each once.
    columns = sql.SQL(", ").join(sql.Identifier(name) for name in told.columns)
    driver(conn).execute(
        sql.SQL(
            "drop table if exists pg_temp.tidegate_events;"
            "create temp table tidegate_events on commit drop as select {} from process.event with no data"
        ).format(columns)
    )
    copy_into(conn, sql.Identifier("pg_temp", "tidegate_events"), told)
    driver(conn).execute(
        sql.SQL("insert into process.event ({0}) select {0} from pg_temp.tidegate_events on conflict do nothing").format(columns)
    )
    return told.filter(pl.col("state") == "new").height


def _still_actionable(conn: Writing, told: pl.DataFrame) -> pl.DataFrame:
    """An approval that came with history is alive all the same while an order of its contract is blocked."""
    old = (pl.col("type") == "contract.approved") & (pl.col("state") == "ignored")
    asked = told.filter(old)
    if asked.is_empty():
        return told
    numbers = asked["data"].str.json_path_match("$.number")
    blocked = conn.scalars(
        sa.text(
            "select distinct contract_number from canonical.sales_order where contract_number = any(:numbers)"
            " and not is_deleted and coalesce(status, '') not in ('complete', 'cancelled')"
            " and (coalesce(delivery_block, '') <> '' or credit_status = 'blocked')"
        ),
        {"numbers": numbers.drop_nulls().to_list()},
    ).all()
    alive = old & pl.col("data").str.json_path_match("$.number").is_in(list(blocked))
    return told.with_columns(state=pl.when(alive).then(pl.lit("new")).otherwise(pl.col("state")))


def _touched(entity: str, current: pl.DataFrame, before: pl.DataFrame) -> list[pl.DataFrame]:
    """The groups of measures (kind, key) that new and changed rows touch, also those that a changed row has left."""
    parts = []
    for kind, column in _TOUCHES.get(entity, ()):
        fallback = pl.lit("*") if kind == "forecast" else pl.lit(None, dtype=pl.String)
        marked = [pl.lit(kind).alias("kind"), pl.coalesce(pl.col(column), fallback).alias("key")]
        parts += [current.select(marked), before.select(marked)]
    return parts


def _mark(conn: Writing, setting: Setting, marks: Sequence[pl.DataFrame]) -> int:
    """All marks of a batch, each once. They are added, never updated: no writer waits for another, and a refresh that runs now can't
    take a mark whose facts it does not see.
    """
    if not marks:
        return 0
    made = pl.concat(marks).drop_nulls().unique()
    rows = made.select("kind", pl.lit(setting.source).alias("source"), "key", pl.lit(setting.now).alias("marked_at"))
    return copy_frame(conn, touched_table, rows)


def _resolve(conn: Writing, setting: Setting, entity: str, current: pl.DataFrame, waiting: pl.DataFrame) -> int:
    """Closes the open exceptions of records that have now landed well."""
    keys = waiting.filter(pl.col("entity") == entity)["source_key"]
    if keys.is_empty() or current.is_empty():
        return 0
    rows = current.filter(pl.col("source_key").is_in(keys.implode())).select("source_key", "source_version")
    return quarantine.landed(conn, setting.source, entity, rows, now=setting.now)


__all__ = ["CUSTOMER_BOUND", "REJECTED", "Counts", "MappedPage", "Outcome", "Setting", "promote"]
