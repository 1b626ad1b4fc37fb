"""What the pages read, fast: slices of the read models now, the same questions over the facts as known at a past moment.

Every function takes a Reading connection; whose rows it sees is decided there (row-level security) and by `Where`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl

from db.engine import Reading, driver
from db.money import AMOUNT
from metrics import forecast, latency
from metrics.frames import EVERYTHING, MOMENT, NOW, RATE, Bound, Question, Where, ask, empty, known
from metrics.invoices import INVOICES, invoices

LEDGER = Question("ledger_rows", INVOICES.columns)
COHORTS = Question(
    "cohort_slice",
    {
        "week": pl.Date,
        "region": pl.String,
        "legal_entity": pl.String,
        "currency": pl.String,
        "invoices": pl.Int64,
        "cleared": pl.Int64,
        "late": pl.Int64,
        "disputed": pl.Int64,
        "gross_reporting": AMOUNT,
        "p50": pl.Float64,
        "p90": pl.Float64,
        "p95": pl.Float64,
        "weighted_mean": pl.Float64,
        "histogram": pl.String,
    },
)
_EXPOSURE: dict[str, Any] = {
    "party_id": pl.Int64,
    "region": pl.String,
    "number": pl.String,
    "name": pl.String,
    "country": pl.String,
    "segment": pl.String,
    "currency": pl.String,
    **dict.fromkeys(("open_orders", "open_deliveries", "unposted_billing", "open_receivables", "secured", "exposure"), AMOUNT),
    "undelivered_contracts": AMOUNT,
    "overdue": AMOUNT,
    "credit_limit": AMOUNT,
    "utilisation": RATE,
    "limit_state": pl.String,
    "median_days_late": pl.Int64,
}
EXPOSURES = Question("exposure_rows", _EXPOSURE)
PAST_EXPOSURES = Question("exposures", _EXPOSURE)
BREACHES = Question(
    "breach_rows",
    {
        "id": pl.Int64,
        "party_id": pl.Int64,
        "name": pl.String,
        "region": pl.String,
        "opened_at": MOMENT,
        "cleared_at": MOMENT,
        "currency": pl.String,
        "limit_amount": AMOUNT,
        "peak": AMOUNT,
        "latest": AMOUNT,
    },
)
POSITIONS = Question(
    "positions",
    {
        "source": pl.String,
        "account": pl.String,
        "region": pl.String,
        "legal_entity": pl.String,
        "currency": pl.String,
        "as_of_date": pl.Date,
        "balance_type": pl.String,
        "amount": AMOUNT,
        "amount_reporting": AMOUNT,
        "recorded_at": MOMENT,
        "raw_record_id": pl.Int64,
    },
)
FORECAST = Question("forecast_rows", {"run_id": pl.Int64, "cut_off": MOMENT, **forecast.LINES})
FIGURES = Question(
    "figure_rows",
    {
        "slug": pl.String,
        "region": pl.String,
        "on_date": pl.Date,
        "value": pl.Float64,
        "exact_value": pl.String,
        "unit": pl.String,
        "count": pl.Int64,
        "why_missing": pl.String,
        "as_of": MOMENT,
        "oldest_feed": MOMENT,
        "sync_share": pl.String,
    },
)


def bound_of(known_at: datetime | None) -> Bound:
    """The set of facts behind a page: as it is, or as it was known at `known_at` (aware)."""
    return NOW if known_at is None else known(known_at)


def ledger(
    conn: Reading,
    *,
    reporting_currency: str,
    known_at: datetime | None = None,
    where: Where = EVERYTHING,
    legal_entities: Sequence[str] | None = None,
    customer: str | None = None,
    week: date | None = None,
    since: date | None = None,
) -> pl.DataFrame:
    """Invoices (frame of `metrics.invoices`): now from the read model, else from the facts as known then. `since` keeps older open ones."""
    entities = list(legal_entities) if legal_entities else None
    if known_at is None:
        return ask(conn, LEDGER, where=where, legal_entities=entities, customer=customer, week=week, since=since)
    frame = invoices(conn, reporting_currency=reporting_currency, on=known_at.date(), bound=known(known_at), where=where)
    if entities is not None:
        frame = frame.filter(pl.col("legal_entity").is_in(entities))
    if customer is not None:
        frame = frame.filter(pl.col("customer_key") == customer)
    if week is not None:
        frame = frame.filter(pl.col("issue_date").is_between(week, week + timedelta(days=6)))
    return frame if since is None else frame.filter((pl.col("issue_date") >= since) | (pl.col("open_amount") != 0))


def cohort_slice(conn: Reading, *, since: date, where: Where = EVERYTHING, legal_entities: Sequence[str] | None = None) -> pl.DataFrame:
    """The latency rollup of the weeks from `since` on (frame COHORTS), exact per week x region x entity x currency."""
    return ask(conn, COHORTS, where=where, since=since, legal_entities=list(legal_entities) if legal_entities else None)


def cohorts(slices: pl.DataFrame, dimension: str | None = None) -> pl.DataFrame:
    """A slice merged to week, and to `dimension` (region, legal_entity, currency) as column `group` ('all' without one): exact percentiles.

    Columns: week, group, p50, p90, p95, invoices, cleared, settled_share, late, disputed, gross_reporting; by week and group.
    """
    grouped = slices.with_columns((pl.lit("all") if dimension is None else pl.col(dimension)).alias("group")).sort("week", "group")
    rows = []
    for (week, group), part in grouped.group_by("week", "group", maintain_order=True):
        histogram = latency.merged(json.loads(one) for one in part["histogram"])
        total, cleared = int(part["invoices"].sum()), int(part["cleared"].sum())
        rows.append(
            {
                "week": week,
                "group": group,
                **{name: latency.quantile_of(histogram, share) for name, share in latency.QUANTILES.items()},
                "invoices": total,
                "cleared": cleared,
                "settled_share": cleared / total if total else None,
                "late": int(part["late"].sum()),
                "disputed": int(part["disputed"].sum()),
                "gross_reporting": part["gross_reporting"].sum(),
            }
        )
    kinds: dict[str, Any] = {"week": pl.Date, "group": pl.String, **dict.fromkeys(latency.QUANTILES, pl.Float64), "invoices": pl.Int64}
    kinds |= {"cleared": pl.Int64, "settled_share": pl.Float64, "late": pl.Int64, "disputed": pl.Int64, "gross_reporting": AMOUNT}
    return pl.DataFrame(rows, schema=kinds)


def exposures(
    conn: Reading,
    *,
    reporting_currency: str,
    known_at: datetime | None = None,
    where: Where = EVERYTHING,
    parties: Sequence[int] | None = None,
) -> pl.DataFrame:
    """Exposure by party (frame EXPOSURES), worst utilisation first: now from the read model, else from the facts as known then."""
    asked = list(parties) if parties is not None else None
    if known_at is None:
        frame = ask(conn, EXPOSURES, where=where, parties=asked)
    else:
        given: dict[str, Any] = {"on_date": known_at.date(), "reporting": reporting_currency, "parties": asked}
        frame = ask(conn, PAST_EXPOSURES, bound=known(known_at), where=where, **given)
        if where.regions is not None:
            frame = frame.filter(pl.col("region").is_in(sorted(where.regions)))
    return frame.sort("utilisation", "exposure", "party_id", descending=[True, True, False], nulls_last=True)


def breaches(conn: Reading, *, at: datetime, where: Where = EVERYTHING, parties: Sequence[int] | None = None) -> pl.DataFrame:
    """Breach episodes as they stood at `at` (frame BREACHES): open ones first, then the newest."""
    frame = ask(conn, BREACHES, where=where, at=at, parties=list(parties) if parties is not None else None)
    return frame.sort(pl.col("cleared_at").is_null(), "opened_at", "id", descending=True)


def positions(conn: Reading, *, reporting_currency: str, known_at: datetime | None = None, where: Where = EVERYTHING) -> pl.DataFrame:
    """The newest balance of every bank account (frame POSITIONS), by entity and account; one that several sources report, once."""
    frame = ask(conn, POSITIONS, bound=bound_of(known_at), where=where, reporting=reporting_currency)
    return frame.sort("legal_entity", "account", nulls_last=True)


def newest_forecast(
    conn: Reading, *, at: datetime, where: Where = EVERYTHING, legal_entities: Sequence[str] | None = None, currency: str | None = None
) -> pl.DataFrame:
    """The lines of the newest forecast made by `at` (frame FORECAST: run_id, cut_off and forecast.LINES); empty when there is none."""
    frame = ask(conn, FORECAST, where=where, at=at, legal_entities=list(legal_entities) if legal_entities else None)
    return frame if currency is None else frame.filter(pl.col("currency") == currency)


def fan(lines: pl.DataFrame, positions_now: pl.DataFrame, *, minimum: Decimal | None = None, weeks: int = forecast.WEEKS) -> pl.DataFrame:
    """13 weeks of the running position: week, p10, p50, p90, inflow, outflow, minimum; empty without a forecast or a position."""
    if lines.is_empty() or positions_now.is_empty():
        return forecast.fan(empty(FORECAST), Decimal(0), date.min, weeks=0).with_columns(pl.lit(minimum, AMOUNT).alias("minimum"))
    start = Decimal(positions_now["amount_reporting"].sum() or 0)
    cut_off: datetime = lines["cut_off"][0]
    return forecast.fan(lines, start, cut_off.date(), weeks=weeks).with_columns(pl.lit(minimum, AMOUNT).alias("minimum"))


@dataclass(frozen=True, slots=True)
class Headline:
    """One figure of Today with the days before it. `region` '*' is all; `value` None has its reason in `why_missing`."""

    slug: str
    region: str
    value: Decimal | None
    unit: str
    count: int | None
    why_missing: str | None
    as_of: datetime
    oldest_feed: datetime | None
    sync_share: Decimal | None
    spark: tuple[tuple[date, float], ...]


_ADDITIVE = frozenset(
    {"open_count", "open_total", "overdue_count", "overdue_total", "disputed_count", "exposure_total", "exposure_breaches", "cash_position"}
)


def headlines(
    conn: Reading, slugs: Sequence[str], *, on: date, regions: frozenset[str] | None = None, days: int = 30
) -> dict[str, Headline]:
    """The figures `slugs` of business day `on` (or the last day before it that has one), with `days` of history, by slug.

    `regions` None reads the figure of all; one region its own. Of several, additive figures are summed; the others are missing, with
    the reason, as percentiles of groups don't add up. A slug without any figure is left out.
    """
    frame = ask(conn, FIGURES, slugs=list(slugs), first_day=on - timedelta(days=days), on_date=on)
    wanted = ["*"] if regions is None else sorted(regions)
    frame = frame.filter(pl.col("region").is_in(wanted)).sort("slug", "on_date", "region")
    found = {}
    for (slug,), part in frame.group_by("slug", maintain_order=True):
        line = _headline(str(slug), part, wanted)
        found[line.slug] = line
    return found


def _headline(slug: str, part: pl.DataFrame, wanted: Sequence[str]) -> Headline:
    last = part.filter(pl.col("on_date") == part["on_date"].max())
    row = last.row(0, named=True)
    single = len(wanted) == 1
    value: Decimal | None = None
    missing = row["why_missing"]
    if single or slug in _ADDITIVE:
        values = [Decimal(one) for one in last["exact_value"] if one is not None]
        value = sum(values, Decimal(0)) if values else None
        spark = part.filter(pl.col("value").is_not_null()).group_by("on_date", maintain_order=True).agg(pl.col("value").sum()).rows()
    else:
        missing, spark = "percentiles and shares of several regions don't add up: choose one region", []
    shares = [Decimal(one) for one in last["sync_share"] if one is not None]
    return Headline(
        slug=slug,
        region=wanted[0] if single else ",".join(wanted),
        value=value,
        unit=row["unit"],
        count=int(last["count"].sum() or 0),
        why_missing=missing if value is None else None,
        as_of=row["as_of"],
        oldest_feed=row["oldest_feed"],
        sync_share=sum(shares, Decimal(0)) if shares else None,
        spark=tuple(spark),
    )


def rate_date(conn: Reading, on: date) -> date | None:
    """The day of the newest reference rate on or before `on`: the date to show beside converted amounts. None without rates."""
    row = driver(conn).execute("select max(rate_date) from canonical.fx_rate where rate_date <= %s and not is_deleted", [on]).fetchone()
    found: date | None = row[0] if row is not None else None
    return found
