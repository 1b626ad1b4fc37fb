"""Every measure by its slug: what it is called, how it is computed in words, its unit, which direction is good, who owns it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Unit = Literal["days", "count", "share", "money", "seconds", "index"]
Good = Literal["up", "down", "none"]
Family = Literal["basic", "book", "exposure", "forecast", "freshness", "outcome"]


@dataclass(frozen=True, slots=True)
class Measure:
    """One entry: `words` is the formula, `grain` what it is computed over, `family` which pure functions answer it."""

    slug: str
    name: str
    words: str
    unit: Unit
    good: Good
    grain: str
    owner: str
    family: Family


_AR = "accounts receivable"
_CREDIT = "credit management"
_TREASURY = "treasury"
_OPS = "finance operations"
_COHORT = "invoices by week of issue, region, legal entity, customer, country, currency"
_BOOK = "all invoices of the scope"


def _basic(slug: str, name: str, words: str, unit: Unit, good: Good) -> Measure:
    return Measure(slug, name, words, unit, good, _COHORT, _AR, "basic")


def _book(slug: str, name: str, words: str, unit: Unit, good: Good) -> Measure:
    return Measure(slug, name, words, unit, good, _BOOK, _AR, "book")


_MEASURES = (
    _basic(
        "invoice_to_payment_p50",
        "Invoice to payment, median",
        "Days from issue to full clearing; the median over fully cleared invoices, linear interpolation.",
        "days",
        "down",
    ),
    _basic("invoice_to_payment_p90", "Invoice to payment, 90th percentile", "As the median, at 90 %.", "days", "down"),
    _basic("invoice_to_payment_p95", "Invoice to payment, 95th percentile", "As the median, at 95 %.", "days", "down"),
    _basic("invoice_count", "Invoices", "Posted invoices; cancelled ones, drafts and credit notes are left out.", "count", "none"),
    _basic("invoiced_total", "Invoiced", "Sum of gross amounts, at the reference rate of each issue date.", "money", "up"),
    _basic("late_share", "Paid late", "Cleared invoices cleared after their due date / cleared invoices with a due date.", "share", "down"),
    _basic("dispute_share", "Disputed", "Disputed invoices / invoices.", "share", "down"),
    _basic("mean_days_late", "Days late of late ones", "Mean of clearing date - due date over invoices cleared late.", "days", "down"),
    _basic("open_count", "Open invoices", "Invoices whose payments do not cover them.", "count", "none"),
    _basic("open_total", "Open receivables", "Sum of gross - non-reversed payments over open invoices.", "money", "down"),
    _basic("overdue_count", "Overdue invoices", "Open invoices due before the day.", "count", "down"),
    _basic("overdue_total", "Overdue receivables", "Open amounts of invoices due before the day.", "money", "down"),
    _book("dso", "DSO", "Open receivables x days / sales of those days (91 days).", "days", "down"),
    _book(
        "dso_countback",
        "DSO, count-back",
        "Open receivables less the latest month's sales, counting its real days, month by month; the last one in part.",
        "days",
        "down",
    ),
    _book("best_possible_dso", "Best possible DSO", "DSO with receivables that are not yet due.", "days", "down"),
    _book("average_days_delinquent", "Average days delinquent", "DSO - best possible DSO: a ratio, not an average of days.", "days", "down"),
    _book(
        "weighted_days_late",
        "Days late, weighted by amount",
        "Days past due weighted by amount, over invoices cleared after due and open ones overdue.",
        "days",
        "down",
    ),
    _book(
        "collection_effectiveness",
        "Collection effectiveness",
        "(receivables at start + sales - receivables at end) / (receivables at start + sales - receivables at end not yet due), 91 days.",
        "share",
        "up",
    ),
    _book("concentration_top10", "Ten largest debtors", "Open receivables of the ten largest debtors / all, by parent.", "share", "down"),
    _book("concentration_hhi", "Concentration (HHI)", "Sum of squared shares of open receivables by parent, 0 to 10,000.", "index", "down"),
    _book("credit_total", "Credit notes open", "Open amounts of credit notes and overpayments.", "money", "none"),
    _book("kaplan_meier_median", "Invoice to payment, median with open ones", "Kaplan-Meier median of days to pay.", "days", "down"),
    _book(
        "invoice_to_payment_weighted", "Invoice to payment, by amount", "Mean days to pay of cleared invoices by amount.", "days", "down"
    ),
    Measure("exposure_total", "Exposure", "Open orders + deliveries + unposted billing + open receivables - secured.", "money", "none",
            "customers (parties)", _CREDIT, "exposure"),
    Measure("exposure_breaches", "Limits exceeded", "Parties whose exposure is above their valid limit.", "count", "down",
            "customers (parties)", _CREDIT, "exposure"),
    Measure("cash_position", "Cash position", "Newest booked balance of every bank account, at the reference rate of its day.", "money", "up",
            "bank accounts", _TREASURY, "forecast"),
    Measure("forecast_wape", "Forecast error (WAPE)", "Sum of |actual - forecast| / sum of |actual|, by week.", "share", "down",
            "weeks by entity and currency", _TREASURY, "forecast"),
    Measure("forecast_bias", "Forecast bias", "Sum of (forecast - actual) / sum of |actual|, by week.", "share", "none",
            "weeks by entity and currency", _TREASURY, "forecast"),
    Measure("forecast_sync_share", "Variance caused by synchronisation",
            "[A(K(T)) - A(S(T))] + [F(S(C)) - F(K(C))]: variance as known less variance without delay.", "money", "none",
            "bank and payment items of a window", _TREASURY, "forecast"),
    Measure("visibility_lag_p95", "Visibility lag, 95th percentile", "Recorded here - changed in the source, over live records.", "seconds",
            "down", "source and entity", _OPS, "freshness"),
    Measure("duplicates_prevented", "Duplicates prevented", "Records that came twice and became one entry, 28 days.", "count", "none",
            "records received", _OPS, "outcome"),
    Measure("incidents_per_10000", "Exceptions per 10,000 records", "Exceptions opened / records received x 10,000, 28 days.", "index", "down",
            "records received", _OPS, "outcome"),
    Measure("time_to_repair", "Time to repair", "Mean of resolved - first seen over exceptions resolved in 28 days.", "seconds", "down",
            "exceptions", _OPS, "outcome"),
    Measure("value_of_a_dso_day", "One day of DSO", "Net sales of the last 91 days / 91.", "money", "none", _BOOK, _AR, "outcome"),
)  # fmt: skip

CATALOG: dict[str, Measure] = {measure.slug: measure for measure in _MEASURES}

DEFAULT_SLUGS: tuple[str, ...] = tuple(measure.slug for measure in _MEASURES if measure.family == "basic")


def measure(slug: str) -> Measure:
    """The measure called `slug`; ValueError names those there are."""
    try:
        return CATALOG[slug]
    except KeyError:
        raise ValueError(f"no measure is called {slug!r}: there are {', '.join(CATALOG)}") from None
