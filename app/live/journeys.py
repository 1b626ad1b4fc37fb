"""Journeys for the desk: any number in, one transaction from quote to cash out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import polars as pl

from app.desk import Hop, Journey, JourneyHit, OrderKey
from app.live.amounts import shown
from db.engine import Reading
from metrics import journeys, ocel
from metrics.frames import NOW, Bound


def journey(conn: Reading, number: str, *, now: datetime, bound: Bound = NOW) -> Journey | None:
    """The journey that `number` belongs to, as known under `bound`; None when nothing there has that number."""
    found = journeys.find(conn, number.strip(), now=now, bound=bound)
    if found is None:
        return None
    return Journey(
        number=found.number,
        title=found.title,
        customer=found.customer,
        region=found.region,
        amount=shown(found.amount, found.currency) if found.amount is not None and found.currency else None,
        hops=[_hop(hop) for hop in found.hops],
        slowest=found.slowest,
        ocel=ocel.document(found),
        orders=[OrderKey(source, key) for source, key in _orders(found)],
    )


def _orders(found: journeys.Journey) -> Sequence[tuple[str, str]]:
    """The journey's sales orders by source and key, in the order of its hops."""
    orders = found.objects.filter(pl.col("kind") == "order").select("source", "source_key").unique(maintain_order=True)
    return orders.rows()


def _hop(hop: journeys.Hop) -> Hop:
    return Hop(
        name=hop.title,
        system=hop.system,
        object=hop.number,
        occurred_at=hop.occurred_at,
        recorded_at=hop.recorded_at,
        business_seconds=hop.business_seconds,
        integration_seconds=hop.integration_seconds,
        human_seconds=hop.human_seconds,
        is_gap=hop.is_gap,
        words=hop.words,
        raw_record_id=hop.raw_record_id,
    )


def search(conn: Reading, text: str) -> Sequence[JourneyHit]:
    """Numbers that begin with what somebody typed."""
    beginning = text.strip()
    if not beginning:
        return []
    return [
        JourneyHit(
            number=row["number"],
            kind=row["kind"],
            customer=row["customer"],
            when=row["on_date"],
            amount=shown(row["amount"], row["currency"]) if row["amount"] is not None and row["currency"] else None,
        )
        for row in journeys.search(conn, beginning).iter_rows(named=True)
    ]
