"""Measures that are more than one expression over invoices: each slug with the pure function that answers it and what it is asked of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

import polars as pl

from db.engine import Reading
from metrics import book, freshness, hindsight, outcomes, reads
from metrics.book import PERIOD_DAYS, Answer
from metrics.frames import Bound, Where, end_of, known
from metrics.invoices import invoices


@dataclass(frozen=True, slots=True)
class Asked:
    """The moment and the scope of a question: `on` the business day, `bound` the set of facts, `now` business time."""

    conn: Reading
    bound: Bound
    where: Where
    on: date
    now: datetime
    reporting_currency: str


_OF_INVOICES: dict[str, Callable[[pl.DataFrame, date], Answer]] = {
    "dso": book.dso,
    "dso_countback": book.count_back,
    "best_possible_dso": lambda frame, on: book.dso(frame, on, not_yet_due=True),
    "average_days_delinquent": book.average_days_delinquent,
    "weighted_days_late": book.weighted_days_late,
    "concentration_top10": lambda frame, _on: book.top_ten_share(frame),
    "concentration_hhi": lambda frame, _on: book.herfindahl(frame),
    "credit_total": lambda frame, _on: book.credit_total(frame),
    "kaplan_meier_median": book.kaplan_meier_median,
    "invoice_to_payment_weighted": lambda frame, _on: book.weighted_latency(frame),
    "value_of_a_dso_day": outcomes.value_of_a_day,
}


def whole(slug: str, frame: pl.DataFrame, asked: Asked) -> Answer:
    """The measure over everything `asked` is about; `frame` are its invoices."""
    if slug in _OF_INVOICES:
        return _OF_INVOICES[slug](frame, asked.on)
    return _OF_FACTS[slug](frame, asked)


def of_group(slug: str, frame: pl.DataFrame, asked: Asked) -> Answer | None:
    """The measure over one group of invoices; None for a measure that invoices alone don't answer."""
    return _OF_INVOICES[slug](frame, asked.on) if slug in _OF_INVOICES else None


def _collection_effectiveness(frame: pl.DataFrame, asked: Asked) -> Answer:
    first = asked.on - timedelta(days=PERIOD_DAYS)
    before = invoices(asked.conn, reporting_currency=asked.reporting_currency, on=first, bound=known(end_of(first)), where=asked.where)
    return book.collection_effectiveness(before, frame, asked.on)


def _exposures(asked: Asked) -> pl.DataFrame:
    return reads.exposures(asked.conn, reporting_currency=asked.reporting_currency, known_at=asked.bound.at, where=asked.where)


def _exposure_total(_frame: pl.DataFrame, asked: Asked) -> Answer:
    found = _exposures(asked)
    return Answer(_sum(found["exposure"]), found.height) if found.height else Answer(None, 0, "no customers are linked yet")


def _breaches(_frame: pl.DataFrame, asked: Asked) -> Answer:
    found = _exposures(asked)
    over = found.filter((pl.col("limit_state") == "valid") & (pl.col("exposure") > pl.col("credit_limit")))
    return Answer(over.height, found.height) if found.height else Answer(None, 0, "no customers are linked yet")


def _cash(_frame: pl.DataFrame, asked: Asked) -> Answer:
    found = reads.positions(asked.conn, reporting_currency=asked.reporting_currency, known_at=asked.bound.at, where=asked.where)
    if found.is_empty():
        return Answer(None, 0, "no bank balance yet")
    if found["amount_reporting"].has_nulls():
        return Answer(None, found.height, "no reference rate for one of the currencies")
    return Answer(_sum(found["amount_reporting"]), found.height)


def _accuracy(column: str) -> Callable[[pl.DataFrame, Asked], Answer]:
    def answer(_frame: pl.DataFrame, asked: Asked) -> Answer:
        at = asked.bound.at or asked.now
        found = hindsight.accuracy_by_horizon(asked.conn, at=at, reporting_currency=asked.reporting_currency, where=asked.where)
        first = found.filter((pl.col("horizon") == 1) & pl.col("inflow"))
        if first.is_empty() or first[column][0] is None:
            return Answer(None, 0, "no forecast is old enough to be compared with what came")
        return Answer(float(first[column][0]), int(first["pairs"][0]))

    return answer


def explained(asked: Asked, *, days: int = 14) -> hindsight.Explained:
    """The variance of the last `days` settled days: the window ends at the completeness watermark, the cut-off is before its first day."""
    latest = asked.bound.at or asked.now
    at = min(latest, freshness.watermark(asked.conn) or latest)
    cut_off = end_of(at.date() - timedelta(days=days + 1))
    window = (cut_off.date(), at.date())
    return hindsight.explain(
        asked.conn,
        window=window,
        cut_off=cut_off - timedelta(microseconds=1),
        at=at,
        reporting_currency=asked.reporting_currency,
        where=asked.where,
    )


def _sync_share(_frame: pl.DataFrame, asked: Asked) -> Answer:
    found = explained(asked)
    if found.sync is None:
        return Answer(None, 0, found.why_missing)
    return Answer(found.sync.amount, found.sync.contributions.height)


def _visibility(_frame: pl.DataFrame, asked: Asked) -> Answer:
    found = freshness.lags(asked.conn, since=asked.now - freshness.LAGS_OVER, where=asked.where)
    if found.is_empty():
        return Answer(None, 0, "nothing arrived live in the last week")
    slowest = found.sort("p95", descending=True).row(0, named=True)
    return Answer(slowest["p95"], int(found["records"].sum()))


def _counts(asked: Asked) -> outcomes.Counts:
    return outcomes.counts(asked.conn, now=asked.bound.at or asked.now, where=asked.where)


def _sum(amounts: pl.Series) -> Decimal:
    return Decimal(amounts.sum() or 0)


_OF_FACTS: dict[str, Callable[[pl.DataFrame, Asked], Answer]] = {
    "collection_effectiveness": _collection_effectiveness,
    "exposure_total": _exposure_total,
    "exposure_breaches": _breaches,
    "cash_position": _cash,
    "forecast_wape": _accuracy("wape"),
    "forecast_bias": _accuracy("bias"),
    "forecast_sync_share": _sync_share,
    "visibility_lag_p95": _visibility,
    "duplicates_prevented": lambda _frame, asked: outcomes.duplicates_prevented(_counts(asked)),
    "incidents_per_10000": lambda _frame, asked: outcomes.incidents_per_ten_thousand(_counts(asked)),
    "time_to_repair": lambda _frame, asked: outcomes.time_to_repair(_counts(asked)),
}
