"""The state of the receivables book: aging, the DSO family, concentration. Pure: frames of `metrics.invoices` in, figures out.

Every figure is in the reporting currency and is None where it can't be computed; `Answer.missing` then says why.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

import polars as pl

from db.money import AMOUNT
from metrics import latency

PERIOD_DAYS = 91
_MOST_MONTHS = 36
_OPEN = ~pl.col("is_credit") & (pl.col("open_amount") > 0)
_BUCKETS = ("not due", "1-30", "31-60", "61-90", "90+", "credits")


@dataclass(frozen=True, slots=True)
class Answer:
    """A figure with how many records it rests on, or None and the reason."""

    value: Decimal | float | None
    count: int
    missing: str | None = None


def _missing(why: str) -> Answer:
    return Answer(None, 0, why)


def aging(frame: pl.DataFrame, on: date) -> pl.DataFrame:
    """Open amounts by days past due on `on`: bucket, amount, disputed (the disputed part of it), count; every bucket, in order.

    Credit notes and overpayments stand in their own bucket `credits`, with a minus, and never net an age away.
    """
    past = (pl.lit(on) - pl.col("due_date")).dt.total_days().fill_null(0)
    bucket = (
        pl.when(~_OPEN)
        .then(pl.lit("credits"))
        .when(past <= 0)
        .then(pl.lit("not due"))
        .when(past <= 30)
        .then(pl.lit("1-30"))
        .when(past <= 60)
        .then(pl.lit("31-60"))
        .when(past <= 90)
        .then(pl.lit("61-90"))
        .otherwise(pl.lit("90+"))
    )
    sums = (
        frame.filter(pl.col("open_amount") != 0)
        .with_columns(bucket.alias("bucket"))
        .group_by("bucket")
        .agg(
            pl.col("open_reporting").sum().cast(AMOUNT).alias("amount"),
            pl.col("open_reporting").filter("is_disputed").sum().cast(AMOUNT).alias("disputed"),
            pl.len().cast(pl.Int64).alias("count"),
        )
    )
    nothing = pl.lit(0).cast(AMOUNT)
    return (
        pl.DataFrame({"bucket": list(_BUCKETS)})
        .join(sums, on="bucket", how="left", maintain_order="left")
        .with_columns(pl.col("amount").fill_null(nothing), pl.col("disputed").fill_null(nothing), pl.col("count").fill_null(0))
    )


def _open_amounts(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.filter(_OPEN)


def _sum(amounts: pl.Series) -> Decimal:
    found = amounts.sum()
    return Decimal(found) if found is not None else Decimal(0)


def _sales(frame: pl.DataFrame, first: date, last: date) -> Decimal:
    """Invoiced less credited in the days from `first` to `last`."""
    return _sum(frame.filter(pl.col("issue_date").is_between(first, last))["gross_reporting"])


def _unrated(frame: pl.DataFrame) -> bool:
    return bool(frame["gross_reporting"].is_null().any())


def net_sales(frame: pl.DataFrame, on: date, *, days: int = PERIOD_DAYS) -> Decimal | None:
    """Invoiced less credited in the `days` up to `on`, in the reporting currency; None when an amount has no rate."""
    return None if _unrated(frame) else _sales(frame, on - timedelta(days=days - 1), on)


def dso(frame: pl.DataFrame, on: date, *, not_yet_due: bool = False, days: int = PERIOD_DAYS) -> Answer:
    """Open receivables x days / net sales of the last `days`; with `not_yet_due`, the best possible DSO."""
    if _unrated(frame):
        return _missing("no reference rate for one of the currencies")
    sales = _sales(frame, on - timedelta(days=days - 1), on)
    if sales <= 0:
        return _missing(f"needs sales in the last {days} days")
    owed = _open_amounts(frame)
    if not_yet_due:
        owed = owed.filter((pl.col("due_date") >= on) | pl.col("due_date").is_null())
    return Answer(float(_sum(owed["open_reporting"]) * days / sales), owed.height)


def count_back(frame: pl.DataFrame, on: date) -> Answer:
    """DSO by counting back: the latest months' sales are taken off open receivables until they are used up."""
    if _unrated(frame):
        return _missing("no reference rate for one of the currencies")
    owed = _open_amounts(frame)
    rest = _sum(owed["open_reporting"])
    oldest = frame["issue_date"].min()
    if not isinstance(oldest, date):
        return _missing("no invoices")
    first, last, days = on.replace(day=1), on, 0.0
    for _month in range(_MOST_MONTHS):
        if last < oldest:
            break
        sales, length = _sales(frame, first, last), (last - first).days + 1
        if rest <= sales:
            return Answer(days + (float(rest / sales) * length if sales else 0.0), owed.height)
        rest, days = rest - max(sales, Decimal(0)), days + length
        last = first - timedelta(days=1)
        first = last.replace(day=1)
    return _missing(f"receivables are older than the sales known here: more than {int(days)} days")


def average_days_delinquent(frame: pl.DataFrame, on: date) -> Answer:
    """DSO less best possible DSO, by the same method."""
    whole, best = dso(frame, on), dso(frame, on, not_yet_due=True)
    if whole.value is None or best.value is None:
        return whole
    return Answer(float(whole.value) - float(best.value), whole.count)


def weighted_days_late(frame: pl.DataFrame, on: date) -> Answer:
    """Days past due by amount, over invoices cleared late and open ones overdue."""
    late_on = pl.coalesce("cleared_on", pl.lit(on))
    late = frame.filter(~pl.col("is_credit") & (late_on > pl.col("due_date")) & pl.col("gross_reporting").is_not_null()).select(
        (late_on - pl.col("due_date")).dt.total_days().alias("days"),
        pl.when(pl.col("cleared_on").is_null()).then("open_reporting").otherwise("gross_reporting").cast(pl.Float64).alias("amount"),
    )
    amount = float(late["amount"].sum())
    return Answer(float((late["days"] * late["amount"]).sum()) / amount, late.height) if amount else _missing("nothing was or is late")


def collection_effectiveness(start: pl.DataFrame, end: pl.DataFrame, on: date, days: int = PERIOD_DAYS) -> Answer:
    """(AR0 + S - AR1) / (AR0 + S - AR1 not yet due), S the sales of the `days` up to `on`; `start` is the book at their beginning."""
    if _unrated(start) or _unrated(end):
        return _missing("no reference rate for one of the currencies")
    owed = _open_amounts(end)
    sales = _sum(end.filter(~pl.col("is_credit") & pl.col("issue_date").is_between(on - timedelta(days=days - 1), on))["gross_reporting"])
    before = _sum(_open_amounts(start)["open_reporting"]) + sales
    collectable = before - _sum(owed.filter((pl.col("due_date") >= on) | pl.col("due_date").is_null())["open_reporting"])
    if collectable <= 0:
        return _missing(f"nothing was to be collected in the last {days} days")
    return Answer(float((before - _sum(owed["open_reporting"])) / collectable), owed.height)


def _debtors(frame: pl.DataFrame) -> pl.Series:
    """What each debtor owes on balance; debtors whose credits outweigh their debts are left out."""
    debtor = pl.coalesce(pl.col("party_id").cast(pl.String), pl.concat_str("source", pl.lit(":"), "customer_key"))
    balances = frame.group_by(debtor.alias("debtor")).agg(pl.col("open_reporting").sum().alias("owed"))
    return balances.filter(pl.col("owed") > 0)["owed"].sort(descending=True)


def top_ten_share(frame: pl.DataFrame) -> Answer:
    """The share of open receivables that the ten largest debtors owe."""
    owed = _debtors(frame)
    total = _sum(owed)
    return Answer(float(_sum(owed.head(10)) / total), owed.len()) if total else _missing("nothing is open")


def herfindahl(frame: pl.DataFrame) -> Answer:
    """The Herfindahl-Hirschman index of open receivables by debtor, 0 to 10,000."""
    owed = _debtors(frame)
    total = float(_sum(owed))
    if not total:
        return _missing("nothing is open")
    return Answer(sum((one / total * 100) ** 2 for one in owed.cast(pl.Float64).to_list()), owed.len())


def credit_total(frame: pl.DataFrame) -> Answer:
    """Open credit notes and overpayments, with a minus."""
    credits = frame.filter(~_OPEN & (pl.col("open_amount") != 0))
    if frame.is_empty():
        return _missing("no invoices")
    return (
        _missing("no reference rate for one of the currencies")
        if _unrated(credits)
        else Answer(_sum(credits["open_reporting"]), credits.height)
    )


def kaplan_meier_median(frame: pl.DataFrame, on: date) -> Answer:
    """The day by which half of all invoices are paid, open ones counted."""
    count = frame.filter(~pl.col("is_credit")).height
    found = latency.median_day(latency.survival(frame, on)) if count else None
    return Answer(float(found), count) if found is not None else _missing("less than half of the invoices are paid so far")


def weighted_latency(frame: pl.DataFrame) -> Answer:
    """Mean days from issue to full clearing, by amount."""
    paid = frame.filter(~pl.col("is_credit") & pl.col("cleared_on").is_not_null() & pl.col("gross_reporting").is_not_null())
    amount = paid["gross_reporting"].cast(pl.Float64)
    if paid.is_empty() or not amount.sum():
        return _missing("no invoice is fully cleared yet")
    days = (paid["cleared_on"] - paid["issue_date"]).dt.total_days()
    return Answer(float((days * amount).sum()) / float(amount.sum()), paid.height)
