"""Statements that must always be true: asked in tests, every hour, and by `tidegate verify`. None of them has a tolerance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from importlib import resources
from typing import cast

import polars as pl
from psycopg.abc import Query

from db.engine import Reading, driver
from db.schema import canonical
from metrics import freshness, hindsight
from metrics.invoices import invoices
from metrics.reads import exposures, ledger


@dataclass(frozen=True, slots=True)
class Violation:
    """An invariant that does not hold: which, how often, one example, and in words what is wrong and what to do."""

    invariant: str
    count: int
    sample: str | None
    words: str


@dataclass(frozen=True, slots=True)
class Invariant:
    """A statement by its slug and its words; `query` names one of `queries/invariants.sql`, which finds what violates it."""

    slug: str
    query: str
    words: str


INVARIANTS: tuple[Invariant, ...] = (
    Invariant("I1 batches add up", "batches", "received records are not promoted + unchanged + duplicate + superseded + quarantined: read the batch's pages again"),
    Invariant("I2 control totals agree", "control_totals", "a page's control totals disagree and nobody was told: replay the page"),
    Invariant("I2 bank balances add up", "balances", "closing balance is not the one before plus the booked entries: look for a missing entry"),
    Invariant("I3 one release per block", "releases", "an order was released more often than it was blocked: compare with the ERP's log"),
    Invariant("I4 no older write-back", "write_backs", "an older collections status was written after a newer one: publish the newest again"),
    Invariant("I5 webhooks end", "webhooks", "a webhook was accepted more than an hour ago and not processed: look at its connection"),
    Invariant("I6 watermarks are not ahead", "watermarks", "a stream claims to be complete beyond now: reset its cursor"),
    Invariant("I7 audit chain", "audit", "an audit entry does not follow the one before it: someone changed the log"),
    Invariant("I9 effects are decided", "undecided_effects", "a write went out without a decision or an approved case"),
    Invariant("I9 two persons", "same_person", "requester and approver are the same"),
)  # fmt: skip


def check(conn: Reading, *, now: datetime, reporting_currency: str | None = None) -> list[Violation]:
    """Every invariant that does not hold at `now` (business time, UTC); empty when all is well.

    `reporting_currency` None takes that of the newest forecast. `conn` has to see every region.
    """
    found = [violation for one in INVARIANTS if (violation := _violated(conn, one, now)) is not None]
    found += _lineage(conn)
    reporting = reporting_currency or _reporting(conn)
    if reporting is not None:
        for statement in (_rollups, _invoice_facts, _exposure, _clocks):
            found += statement(conn, now, reporting)
    return found


@cache
def _queries() -> Mapping[str, str]:
    text = resources.files("metrics").joinpath("queries", "invariants.sql").read_text(encoding="utf-8")
    parts = [part.split("\n", 1) for part in text.split("-- name: ")[1:]]
    return {name.strip(): body for name, body in parts}


def _violated(conn: Reading, one: Invariant, now: datetime) -> Violation | None:
    counted = f"select count(*), min(sample) from ({_queries()[one.query]}) violation"  # our own text, no input
    row = driver(conn).execute(counted.encode(), {"now": now}).fetchone()
    return None if row is None or row[0] == 0 else Violation(one.slug, int(row[0]), row[1], one.words)


def _lineage(conn: Reading) -> list[Violation]:
    """I8: every canonical row leads to the bytes it came from."""
    found = []
    for entity in canonical.ENTITIES:
        if entity == "collection_status":  # ours, made by a rule and not received
            continue
        row = driver(conn).execute(cast("Query", _LINEAGE.format(entity=entity).encode())).fetchone()
        if row is not None and row[0]:
            found.append(Violation("I8 lineage", int(row[0]), f"{entity} {row[1]}", "a row's raw page is gone: pull the record again"))
    return found


_LINEAGE = """
select coalesce(sum(page.rows), 0), min(page.sample)
from (select raw_record_id >> 24 as id, count(*) as rows, min(source || ' ' || source_key) as sample from canonical.{entity} group by 1) page
where not exists (select from raw.page p where p.id = page.id)
"""


def _reporting(conn: Reading) -> str | None:
    row = driver(conn).execute("select reporting_currency from measure.forecast_run order by id desc limit 1").fetchone()
    return None if row is None else row[0]


def _touched(conn: Reading, *kinds: str) -> bool:
    row = driver(conn).execute("select exists (select from measure.touched where kind = any(%s))", [list(kinds)]).fetchone()
    return row is not None and bool(row[0])


def _rollups(conn: Reading, _now: datetime, _reporting: str) -> list[Violation]:
    one = Invariant("R1 rollups equal facts", "rollups", "a latency group differs from its invoices: rebuild the measures")
    violation = _violated(conn, one, _now)
    return [] if violation is None else [violation]


def _invoice_facts(conn: Reading, _now: datetime, reporting: str) -> list[Violation]:
    """R1: the invoices of the read model are those of the facts, but for the ones that are marked."""
    if _touched(conn, "invoice", "customer"):
        return []
    columns = ["source", "source_key", "gross", "open_amount", "cleared_on", "party_id", "is_disputed"]
    kept, real = ledger(conn, reporting_currency=reporting).select(columns), invoices(conn, reporting_currency=reporting).select(columns)
    return _differences("R1 invoices equal facts", kept, real, ["source", "source_key"])


def _exposure(conn: Reading, now: datetime, reporting: str) -> list[Violation]:
    """R1: exposure equals the one computed from all facts, as of the day it was computed for, but for what is marked."""
    row = driver(conn).execute("select min(computed_at) from measure.exposure").fetchone()
    if row is None or row[0] is None or row[0].date() != now.date() or _touched(conn, "invoice", "customer"):
        return []
    columns = ["party_id", "exposure", "credit_limit", "limit_state"]
    kept = exposures(conn, reporting_currency=reporting).select(columns)
    real = exposures(conn, reporting_currency=reporting, known_at=now).select(columns)
    return _differences("R1 exposure equals facts", kept, real, ["party_id"])


def _differences(slug: str, kept: pl.DataFrame, real: pl.DataFrame, keys: list[str]) -> list[Violation]:
    values = [name for name in kept.columns if name not in keys]
    both = kept.join(real, on=keys, how="full", coalesce=True, suffix="_real", nulls_equal=True)
    wrong = both.filter(pl.any_horizontal(pl.col(name).ne_missing(pl.col(f"{name}_real")) for name in values))
    if wrong.is_empty():
        return []
    sample = " ".join(str(one) for one in wrong.sort(keys).select(keys).row(0))
    return [Violation(slug, wrong.height, sample, "the read model differs from the facts: rebuild the measures")]


def _clocks(conn: Reading, now: datetime, reporting: str) -> list[Violation]:
    """T1: over the last settled week the bridge and the synchronisation share add up exactly."""
    at = min(now, freshness.watermark(conn) or now)
    cut_off = at - timedelta(days=7)
    explained = hindsight.explain(
        conn, window=(cut_off.date() + timedelta(days=1), at.date()), cut_off=cut_off, at=at, reporting_currency=reporting
    )
    bridge, sync = explained.bridge, explained.sync
    if bridge is None or sync is None:
        return []
    found = []
    if sum(bridge.causes.values()) != bridge.actual - bridge.forecast:
        found.append(Violation("T1 the bridge adds up", 1, str(bridge.causes), "the causes are not the whole variance"))
    if explained.late["amount"].sum() != sync.amount or bridge.actual - bridge.forecast != sync.as_known:
        found.append(Violation("T1 the sync share adds up", 1, str(sync.amount), "the late records are not the whole sync share"))
    return found
