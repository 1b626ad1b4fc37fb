"""What synchronisation delay does to today's figures: m(K(T)) - m(S(T)) at the last settled moment T, from the late records alone.

Records that were not late are the same in both sets and cancel out, so only the late ones are read.
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

import polars as pl

from db.engine import Reading, Writing, driver
from metrics import freshness
from metrics.frames import Bound, ask, known, source_knew
from metrics.hindsight import LATE
from metrics.invoices import INVOICES
from metrics.reads import POSITIONS

EVERYWHERE = "*"
SLUGS = ("open_count", "open_total", "overdue_count", "overdue_total", "cash_position")
_COUNTED = ("invoice", "payment_application")


def put_sync_shares(conn: Writing, *, now: datetime, reporting_currency: str) -> datetime | None:
    """Write the sync share of today's additive figures, per region and for all; returns the settled moment, None before there is one."""
    watermark = freshness.watermark(conn)
    if watermark is None:
        return None
    at = min(now, watermark)
    shares = sync_shares(conn, at=at, reporting_currency=reporting_currency)
    with driver(conn).cursor() as cursor:
        cursor.execute(
            "update measure.figure set sync_share = 0 where dimension = '' and on_date = %s and slug = any(%s)", [now.date(), list(SLUGS)]
        )
        cursor.executemany(
            "update measure.figure set sync_share = %s where dimension = '' and slug = %s and region = %s and on_date = %s",
            [(amount, slug, region, now.date()) for (slug, region), amount in shares.items() if amount is not None],
        )
    return at


def sync_shares(conn: Reading, *, at: datetime, reporting_currency: str) -> dict[tuple[str, str], Decimal | None]:
    """By (slug, region or '*'): the figure as known at `at` less the figure without delay; None where a rate is missing."""
    late = ask(conn, LATE, bound=source_knew(at)).filter(pl.col("entity").is_in(_COUNTED))
    keys = late.select("source", "item_key").unique().sort("source", "item_key").rows()
    shares: dict[tuple[str, str], Decimal | None] = {}
    for sign, bound in ((1, known(at)), (-1, source_knew(at))):
        for (slug, region), amount in _figures(conn, keys, bound, at.date(), reporting_currency).items():
            before = shares.get((slug, region), Decimal(0))
            shares[slug, region] = None if amount is None or before is None else before + sign * amount
    return shares


def _figures(conn: Reading, keys: list[tuple[str, str]], bound: Bound, on: date, reporting: str) -> dict[tuple[str, str], Decimal | None]:
    found: dict[tuple[str, str], Decimal | None] = {}
    if keys:
        frame = ask(conn, INVOICES, bound=bound, only=keys, reporting=reporting, on_date=None)
        owing = frame.filter(~pl.col("is_credit") & (pl.col("open_amount") > 0))
        for name, rows in (("open", owing), ("overdue", owing.filter(pl.col("due_date") < on))):
            found |= {(f"{name}_count", region): Decimal(part.height) for region, part in _by_region(rows)}
            found |= {(f"{name}_total", region): _total(part["open_reporting"]) for region, part in _by_region(rows)}
    held = ask(conn, POSITIONS, bound=bound, reporting=reporting)
    return found | {("cash_position", region): _total(part["amount_reporting"]) for region, part in _by_region(held)}


def _by_region(frame: pl.DataFrame) -> list[tuple[str, pl.DataFrame]]:
    parts = [(str(region), part) for (region,), part in frame.group_by("region", maintain_order=True)]
    return [(EVERYWHERE, frame), *parts]


def _total(amounts: pl.Series) -> Decimal | None:
    return None if amounts.has_nulls() else Decimal(amounts.sum() or 0)
