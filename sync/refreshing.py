"""After facts have landed: who is who, then the measures that they touch, then the events that these measures make."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from db.engine import Writing, reading, writing
from metrics import delay, refresh
from metrics.refresh import Episode, Refreshed
from sync import fx, identity, shipped_rates
from sync.connections import Landscape

MOST_ROUNDS = 200


def refresh_measures(engine: sa.Engine, landscape: Landscape, *, now: datetime) -> Refreshed:
    """Resolves identities and refreshes what is touched, until no mark is left; returns the last round's account.

    `now` is business time, UTC. The events exposure.breached and exposure.cleared are written with the figures they come from.
    """
    with writing(engine) as conn:
        # Who is who can only change with facts, and facts leave marks.
        if conn.scalar(sa.text("select exists (select from measure.touched where kind in ('customer', 'invoice', 'balance'))")):
            identity.resolve(conn, landscape, now=now)
            _ensure_rates(conn, landscape, now)
    done = Refreshed()
    for _ in range(MOST_ROUNDS):
        with writing(engine) as conn:
            done = refresh.refresh(conn, now=now, reporting_currency=landscape.reporting_currency)
            _tell(conn, "exposure.breached", done.opened, now)
            _tell(conn, "exposure.cleared", done.cleared, now)
        if done.shares_due:
            _put_sync_shares(engine, landscape, now)
        if not done.more:
            break
    return done


def _put_sync_shares(engine: sa.Engine, landscape: Landscape, now: datetime) -> None:
    """What delay did to today's figures: both sets of facts from one snapshot, in a transaction of its own."""
    with reading(engine) as snapshot:
        rows = delay.sync_shares(snapshot, now=now, reporting_currency=landscape.reporting_currency)
    with writing(engine) as conn:
        delay.put_sync_shares(conn, rows)


def _ensure_rates(conn: Writing, landscape: Landscape, now: datetime) -> None:
    """Reference rates for the currencies in use, once facts in more than one currency are there."""
    configured = {landscape.reporting_currency, *(entity.currency for entity in landscape.legal_entities)}
    used = fx.in_use(conn, configured)
    if len(used) > 1:
        shipped_rates.load(conn, used, now=now)


def _tell(conn: Writing, kind: str, episodes: Sequence[Episode], now: datetime) -> None:
    if not episodes:
        return
    rows: list[dict[str, Any]] = [
        {
            "type": kind,
            "key": str(episode.party_id),
            "version": episode.id,
            "region": episode.region,
            "occurred": episode.opened_at if kind == "exposure.breached" else episode.cleared_at or now,
            "now": now,
            "object": f"party:{episode.party_id}",
            "data": json.dumps(
                {
                    "party_id": episode.party_id,
                    "breach_id": episode.id,
                    "currency": episode.currency,
                    "limit_amount": None if episode.limit_amount is None else str(episode.limit_amount),
                    "peak": str(episode.peak),
                    "latest": str(episode.latest),
                    "opened_at": episode.opened_at.isoformat(),
                }
            ),
        }
        for episode in episodes
    ]
    conn.execute(
        sa.text(
            "insert into process.event (type, entity, source, source_key, source_version, region, occurred_at, recorded_at, objects,"
            " raw_record_id, data, state) select :type, 'exposure', 'tidegate', cast(:key as text), :version, :region, :occurred, :now,"
            " array[:object], 0, cast(:data as jsonb) || jsonb_build_object('name', (select name from canonical.party where id = cast(cast(:key as text) as bigint))),"
            " 'new' on conflict do nothing"
        ),
        rows,
    )
