"""The headline figures of a day, kept per region and for all, so that Today draws its tiles and sparklines from a few rows."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import polars as pl

from db.engine import Writing, driver
from metrics import receivables
from metrics.frames import end_of, known, run
from metrics.invoices import invoices

HISTORY_DAYS = 60
LATENCY_EVERY = timedelta(minutes=30)
_PAST = ("open_count", "open_total", "overdue_count", "overdue_total")


def put_today(conn: Writing, *, now: datetime, reporting_currency: str, afresh: bool = False) -> None:
    """Write today's figures (business day of `now`, UTC) from the read models; the day's last writing stays as its figure.

    Amounts and counts follow every refresh. Percentiles over 90 days hardly move within a day and cost a reading of all invoices
    cleared in them: they follow every LATENCY_EVERY, or at once when `afresh`.
    """
    run(conn, "put_figures", now=now, on_date=now.date(), reporting=reporting_currency)
    if afresh or _latency_is_due(conn, now):
        run(conn, "put_latency_figures", now=now, on_date=now.date())


def _latency_is_due(conn: Writing, now: datetime) -> bool:
    row = (
        driver(conn)
        .execute("select max(computed_at) from measure.figure where slug = 'invoice_to_payment_p50' and on_date = %s", [now.date()])
        .fetchone()
    )
    return row is None or row[0] is None or not timedelta(0) <= now - row[0] < LATENCY_EVERY


def is_new_day(conn: Writing, now: datetime) -> bool:
    """Whether no figure of the business day of `now` was written yet: due dates and limits may have passed overnight."""
    return driver(conn).execute("select 1 from measure.figure where on_date = %s limit 1", [now.date()]).fetchone() is None


def put_past(conn: Writing, *, now: datetime, reporting_currency: str, most: int = HISTORY_DAYS) -> int:
    """Write the receivables figures of up to `most` of the last days that have none, as known at the end of each; returns how many.

    History that came by a backfill answers by its business dates, so that sparklines reach back before the first start.
    """
    wanted = [now.date() - timedelta(days=back) for back in range(1, HISTORY_DAYS + 1)]
    found = {day for (day,) in driver(conn).execute("select distinct on_date from measure.figure where on_date = any(%s)", [wanted])}
    missing = [day for day in wanted if day not in found][:most]
    for day in missing:
        _put_day(conn, day, now, reporting_currency)
    return len(missing)


def _put_day(conn: Writing, day: date, now: datetime, reporting: str) -> None:
    frame = invoices(conn, reporting_currency=reporting, on=day, bound=known(end_of(day)))
    recent = frame.with_columns(pl.when(pl.col("cleared_on") > day - timedelta(days=90)).then(pl.col("cleared_on")).alias("cleared_on"))
    rows = []
    for region in ["*", *frame["region"].unique().sort().to_list()]:
        mine = frame if region == "*" else frame.filter(pl.col("region") == region)
        lately = recent if region == "*" else recent.filter(pl.col("region") == region)
        for slug in (*_PAST, "invoice_to_payment_p50", "invoice_to_payment_p90", "late_share"):
            value, count = receivables.basic(mine if slug in _PAST else lately, slug, day).row(0)
            missing = receivables.BASICS[slug].missing if value is None else None
            rows.append((slug, region, day, value, _unit(slug, reporting), count, missing, end_of(day), now))
    with driver(conn).cursor() as cursor:
        cursor.executemany(
            "insert into measure.figure (slug, dimension, key, region, on_date, value, unit, count, why_missing, as_of, computed_at)"
            " values (%s, '', '', %s, %s, %s, %s, %s, %s, %s, %s) on conflict do nothing",
            rows,
        )


def _unit(slug: str, reporting: str) -> str:
    if slug.endswith("_total"):
        return reporting
    return "count" if slug.endswith("_count") else "share" if slug.endswith("_share") else "days"
