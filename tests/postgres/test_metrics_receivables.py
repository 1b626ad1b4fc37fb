"""The receivables measures over real facts: as now, as known at a past time, as the sources knew it."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
import sqlalchemy as sa

from db.engine import reading, writing
from metrics import refresh
from metrics.catalog import CATALOG
from metrics.frames import NOW as AS_IT_IS
from metrics.frames import Bound, Question, Where, ask, end_of, known, source_knew
from metrics.invoices import invoices
from metrics.report import report, to_json
from tests.postgres.metrics_facts import Facts, moment

TODAY = datetime(2026, 3, 2, 9, tzinfo=UTC)


def _line(answer: dict[str, Any], slug: str) -> dict[str, Any]:
    return next(line for line in answer["measures"] if line["slug"] == slug)


def test_a_report_has_the_promised_form(engine: sa.Engine) -> None:
    """Every basic slug answers with value, unit, count and groups; money is exact and JSON shows it so."""
    with writing(engine) as conn:
        facts = Facts(conn)
        facts.invoice("I1", "C1", "100.10", date(2026, 1, 5), country="391", paid=[(date(2026, 2, 14), "100.10")])
        facts.invoice("I2", "C2", "0.30", date(2026, 1, 7), country="406", is_disputed=True)
        facts.invoice("I3", "C2", "50.00", date(2026, 1, 7), country="406", status="cancelled")
        facts.invoice("I4", "C2", "20.00", date(2026, 1, 7), country="406", is_credit=True)
    with reading(engine) as conn:
        answer = report(conn, by="country", now=TODAY, reporting_currency="EUR")
    assert _line(answer, "invoiced_total") == {
        "slug": "invoiced_total",
        "value": Decimal("100.40"),
        "unit": "EUR",
        "count": 2,
        "why_missing": None,
        "by": [{"key": "391", "value": Decimal("100.10"), "count": 1}, {"key": "406", "value": Decimal("0.30"), "count": 1}],
    }
    assert (_line(answer, "invoice_to_payment_p50")["value"], _line(answer, "mean_days_late")["value"]) == (40, 10)
    assert (_line(answer, "late_share")["value"], _line(answer, "dispute_share")["value"]) == (1, Decimal("0.5"))
    assert (_line(answer, "open_total")["value"], _line(answer, "overdue_count")["value"]) == (Decimal("0.30"), 1)
    assert '"value":100.40' in to_json(answer)


def test_what_cannot_be_computed_says_why(engine: sa.Engine) -> None:
    """Without invoices, or without a rate for one of them, a measure is missing with its reason, never 0."""
    with reading(engine) as conn:
        nothing = report(conn, now=TODAY, reporting_currency="EUR")
    assert all(line["value"] is None and line["why_missing"] for line in nothing["measures"])
    with writing(engine) as conn:
        Facts(conn).invoice("I1", "C1", "100.00", date(2026, 1, 5), currency="USD")
    with reading(engine) as conn:
        unrated = report(conn, now=TODAY, reporting_currency="EUR")
        own = report(conn, now=TODAY, reporting_currency="USD")
    assert _line(unrated, "invoiced_total")["value"] is None
    assert _line(unrated, "open_count")["value"] == 1
    assert _line(own, "invoiced_total")["value"] == 100
    with reading(engine) as conn, pytest.raises(ValueError, match="no measure is called"):
        report(conn, slugs=["nonsense"], now=TODAY, reporting_currency="EUR")
    with reading(engine) as conn, pytest.raises(ValueError, match="no dimension"):
        report(conn, by="planet", now=TODAY, reporting_currency="EUR")


def test_amounts_convert_at_the_rate_of_their_day_or_the_last_before(engine: sa.Engine) -> None:
    """A dollar invoice of a weekend is worth what Friday's rate says."""
    with writing(engine) as conn:
        facts = Facts(conn)
        facts.rate("USD", date(2026, 1, 2), "1.25")
        facts.rate("USD", date(2026, 1, 5), "2.00")
        facts.invoice("I1", "C1", "100.00", date(2026, 1, 4), currency="USD")
    with reading(engine) as conn:
        answer = report(conn, slugs=["invoiced_total"], now=TODAY, reporting_currency="EUR")
    assert _line(answer, "invoiced_total")["value"] == Decimal("80.00")


def test_a_past_day_counts_what_was_issued_and_cleared_by_its_end(engine: sa.Engine) -> None:
    """History that a file brought answers by business dates: issued on the day counts, cleared on the day is cleared."""
    with writing(engine) as conn:
        facts = Facts(conn)
        later = {"recorded_at": datetime(2026, 3, 1, tzinfo=UTC), "backfilled": True}
        for key, issued, cleared in (("I1", date(2013, 6, 1), date(2013, 6, 30)), ("I2", date(2013, 6, 30), date(2013, 7, 1)),
                                     ("I3", date(2013, 7, 1), date(2013, 7, 2))):  # fmt: skip
            stamp = end_of(issued) - timedelta(microseconds=1)
            facts.put("invoice", key, number=key, customer_key="C", issue_date=issued, due_date=issued, gross=Decimal(10), currency="EUR",
                      status="posted", changed_at=stamp, **later)  # fmt: skip
            facts.put("payment_application", key, invoice_key=key, amount=Decimal(10), currency="EUR", clearing_date=cleared,
                      changed_at=end_of(cleared) - timedelta(microseconds=1), **later)  # fmt: skip
    with reading(engine) as conn:
        answer = report(conn, as_of=date(2013, 6, 30), now=TODAY, reporting_currency="EUR")
        overdue = report(conn, slugs=["overdue_count"], as_of=date(2013, 7, 1), now=TODAY, reporting_currency="EUR")
        before = report(conn, slugs=["invoice_count"], as_of=date(2013, 5, 1), now=TODAY, reporting_currency="EUR")
    values = {line["slug"]: line["value"] for line in answer["measures"]}
    assert (values["invoice_count"], values["open_count"], values["open_total"], values["overdue_count"]) == (2, 1, 10, 0)
    assert values["invoice_to_payment_p50"] == 29
    assert _line(overdue, "overdue_count")["value"] == 0
    assert _line(before, "invoice_count")["why_missing"] == "no invoices"


def test_the_sets_of_facts_match_an_oracle(engine: sa.Engine) -> None:
    """Of every record, the newest version known here by T, known to the source by T, or now, as a one-at-a-time reading finds."""
    dice = random.Random(11)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    versions: list[dict[str, Any]] = []
    with writing(engine) as conn:
        facts = Facts(conn)
        for key in range(12):
            for version in dice.sample(range(1, 9), dice.randrange(1, 6)):
                changed = start + timedelta(hours=dice.randrange(400))
                row = {
                    "version": version,
                    "changed_at": changed,
                    "recorded_at": changed + timedelta(hours=dice.randrange(100)),
                    "backfilled": dice.random() < 0.4,
                    "is_deleted": dice.random() < 0.1,
                    "gross": Decimal(dice.randrange(1, 1000)),
                }
                facts.put(
                    "invoice", f"I{key}", number="n", customer_key="C", issue_date=date(2026, 1, 1), currency="EUR", status="posted", **row
                )
                versions.append({"key": f"I{key}", **row})
    for hours in (0, 50, 150, 300, 600):
        at = start + timedelta(hours=hours)
        for bound in (AS_IT_IS, known(at), source_knew(at)):
            with reading(engine) as conn:
                frame = invoices(conn, reporting_currency="EUR", bound=bound)
            assert dict(frame.select("source_key", "gross").iter_rows()) == _newest(versions, bound), (bound, hours)


def _newest(versions: list[dict[str, Any]], bound: Bound) -> dict[str, Decimal]:
    kept: dict[str, dict[str, Any]] = {}
    for one in versions:
        at = bound.at
        if at is not None:
            by_source = one["changed_at"] <= at
            inside = by_source if bound.clock == "source" else one["recorded_at"] <= at or (one["backfilled"] and by_source)
            if not inside:
                continue
        if one["key"] not in kept or one["version"] > kept[one["key"]]["version"]:
            kept[one["key"]] = one
    return {key: one["gross"] for key, one in kept.items() if not one["is_deleted"]}


def test_a_scope_leaves_out_other_connections_and_regions(engine: sa.Engine) -> None:
    """Facts of another connection or region are not counted."""
    with writing(engine) as conn:
        facts = Facts(conn)
        facts.invoice("I1", "C1", "1.00", date(2026, 1, 5))
        facts.invoice("I1", "C1", "2.00", date(2026, 1, 5), source="other", region="NA")
    with reading(engine) as conn:
        mine = invoices(conn, reporting_currency="EUR", where=Where(connection="other"))
        emea = invoices(conn, reporting_currency="EUR", where=Where(regions=frozenset({"EMEA"})))
    assert (mine["gross"].to_list(), emea["gross"].to_list()) == ([Decimal(2)], [Decimal(1)])


def test_an_undeclared_column_is_refused(engine: sa.Engine) -> None:
    """A query that answers with other columns than its question declares raises, naming both."""
    with reading(engine) as conn, pytest.raises(RuntimeError, match="its question declares"):
        ask(conn, Question("invoices", {"source": pl.String}), reporting="EUR", on_date=None)


def test_overpaid_and_reversed_payments(engine: sa.Engine) -> None:
    """A reversed clearing opens the invoice again; the last clearing of part payments is the day it was paid."""
    with writing(engine) as conn:
        facts = Facts(conn)
        facts.invoice("I1", "C1", "100.00", date(2026, 1, 5), paid=[(date(2026, 1, 10), "40.00"), (date(2026, 1, 20), "60.00")])
        facts.invoice("I2", "C1", "100.00", date(2026, 1, 5), paid=[(date(2026, 1, 10), "100.00")])
        facts.put("payment_application", "I2/0", version=2, invoice_key="I2", amount=Decimal(100), currency="EUR", clearing_date=date(2026, 1, 10),
                  is_reversed=True, changed_at=moment(date(2026, 1, 12)))  # fmt: skip
    with reading(engine) as conn:
        frame = invoices(conn, reporting_currency="EUR")
    assert frame["cleared_on"].to_list() == [date(2026, 1, 20), None]
    assert frame["open_amount"].to_list() == [Decimal(0), Decimal(100)]


def test_every_measure_of_the_catalogue_answers(engine: sa.Engine) -> None:
    """Each slug gives a value or a reason, over an empty database, over facts now, by group, and as known at a past day."""
    slugs = list(CATALOG)
    with reading(engine) as conn:
        nothing = report(conn, slugs=slugs, now=TODAY, reporting_currency="EUR")
    assert all((line["value"] is None) == bool(line["why_missing"]) for line in nothing["measures"])
    with writing(engine) as conn:
        facts = Facts(conn)
        facts.customer("C1", party=1, limit="100")
        for number in range(9):
            issued = date(2025, 11, 1) + timedelta(days=14 * number)
            facts.invoice(f"I{number}", "C1", "50.00", issued, paid=[(issued + timedelta(days=40), "50.00")] if number < 5 else [])
        facts.put(
            "bank_balance", "B", account="A", balance_type="closing_booked", as_of_date=date(2026, 2, 1), amount=Decimal(9), currency="EUR"
        )
        refresh.refresh(conn, now=TODAY, reporting_currency="EUR")
    with reading(engine) as conn:
        now = report(conn, slugs=slugs, by="region", now=TODAY, reporting_currency="EUR")
        past = report(conn, slugs=slugs, as_of=date(2026, 2, 1), now=TODAY, reporting_currency="EUR")
    values = {line["slug"]: line["value"] for line in now["measures"]}
    assert (values["exposure_breaches"], values["exposure_total"], values["cash_position"]) == (1, 200, 9)
    assert values["kaplan_meier_median"] == 40
    assert values["concentration_top10"] == 1
    assert values["dso"] > values["best_possible_dso"] > 0
    assert _line(now, "dso")["by"][0]["value"] == values["dso"]
    assert {line["slug"]: line["value"] for line in past["measures"]}["exposure_total"] == 150
    assert values["forecast_sync_share"] == 0
    assert values["value_of_a_dso_day"] == Decimal("3.30")
    assert values["duplicates_prevented"] is None
