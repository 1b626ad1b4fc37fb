"""What synchronisation delay did to the headline figures: m(K(T)) - m(S(T)), by the law of two clocks, kept beside each figure.

T is the completeness watermark (or now, if that is earlier): later than it, nobody can say yet what the sources already knew.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl

from db.engine import Reading, Writing, driver
from metrics import freshness, receivables
from metrics.frames import Bound, ask, known, source_knew
from metrics.invoices import invoices
from metrics.reads import PAST_EXPOSURES, POSITIONS

LATENCY_OVER = timedelta(days=90)
Figures = dict[str, Decimal | None]
"""Slug -> value in the figure's unit; None where it can't be computed."""


Row = tuple[Decimal | None, str, str, date]
"""(share, region, slug, day)."""


def sync_shares(conn: Reading, *, now: datetime, reporting_currency: str) -> list[Row]:
    """The sync share of today's figures, per region and for all; none while no stream is live, for nothing can be compared.

    `now` is business time, UTC. `conn` must read one snapshot (`db.engine.reading` does): two sets taken from two states of the
    database would differ by what landed in between. It asks the facts under two bounds: call it as often as that is worth.
    """
    mark = freshness.watermark(conn)
    if mark is None:
        return []
    at = min(mark, now)
    as_known = facts(conn, known(at), at=at, reporting_currency=reporting_currency)
    without_delay = facts(conn, source_knew(at), at=at, reporting_currency=reporting_currency)
    return [
        (share, region, slug, now.date())
        for region in regions(as_known)
        for slug, share in shares(figures_of(as_known, region, at), figures_of(without_delay, region, at)).items()
    ]


def put_sync_shares(conn: Writing, rows: Sequence[Row]) -> None:
    """Write the shares beside the figures they belong to."""
    with driver(conn).cursor() as cursor:
        cursor.executemany(
            "update measure.figure set sync_share = %s where region = %s and slug = %s and on_date = %s and dimension = ''", rows
        )


def facts(conn: Reading, bound: Bound, *, at: datetime, reporting_currency: str) -> dict[str, pl.DataFrame]:
    """The sets of facts under `bound` that the headline figures are functions of: invoices, positions, exposures."""
    given: dict[str, Any] = {"on_date": at.date(), "reporting": reporting_currency, "parties": None}
    return {
        "invoices": invoices(conn, reporting_currency=reporting_currency, on=at.date(), bound=bound),
        "positions": ask(conn, POSITIONS, bound=bound, reporting=reporting_currency),
        "exposures": ask(conn, PAST_EXPOSURES, bound=bound, **given),
    }


def regions(sets: dict[str, pl.DataFrame]) -> list[str]:
    """'*' and every region there is in the sets."""
    found = {region for frame in sets.values() for region in frame["region"].drop_nulls().unique().to_list()}
    return ["*", *sorted(found)]


def figures_of(sets: dict[str, pl.DataFrame], region: str, at: datetime) -> Figures:
    """The headline figures of `region` ('*': all) as a pure function of the sets of facts."""
    mine = {name: frame if region == "*" else frame.filter(pl.col("region") == region) for name, frame in sets.items()}
    on = at.date()
    lately = pl.when(pl.col("cleared_on") > on - LATENCY_OVER).then(pl.col("cleared_on")).alias("cleared_on")
    recent = mine["invoices"].with_columns(lately)
    over = (pl.col("limit_state") == "valid") & (pl.col("exposure") > pl.col("credit_limit"))
    return {
        **{slug: _basic(mine["invoices"], slug, on) for slug in ("open_total", "overdue_total", "open_count", "overdue_count")},
        **{slug: _basic(recent, slug, on) for slug in ("invoice_to_payment_p50", "invoice_to_payment_p90")},
        "cash_position": _sum(mine["positions"]["amount_reporting"]),
        "exposure_total": _sum(mine["exposures"]["exposure"]),
        "exposure_breaches": Decimal(mine["exposures"].filter(over).height),
    }


def shares(as_known: Figures, without_delay: Figures) -> Figures:
    """What delay did to each figure: as known less without delay; unknown where either can't be computed."""
    pairs = {slug: (as_known[slug], without_delay[slug]) for slug in as_known}
    return {slug: None if one is None or other is None else one - other for slug, (one, other) in pairs.items()}


def _basic(frame: pl.DataFrame, slug: str, on: date) -> Decimal | None:
    return _exact(receivables.basic(frame, slug, on).row(0)[0])


def _exact(value: Decimal | float | None) -> Decimal | None:
    return None if value is None else value if isinstance(value, Decimal) else Decimal(str(round(value, 8)))


def _sum(amounts: pl.Series) -> Decimal | None:
    return Decimal(amounts.sum()) if amounts.len() and not amounts.null_count() else None
