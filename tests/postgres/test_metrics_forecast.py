"""The cash forecast and its variance over real facts, as known and without delay."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import sqlalchemy as sa

from db.engine import reading, writing
from metrics import hindsight, outlook, refresh, variance
from metrics.frames import known
from tests.postgres.metrics_facts import Facts, moment

CUT_OFF = datetime(2026, 2, 1, 12, tzinfo=UTC)
AT = datetime(2026, 2, 28, 12, tzinfo=UTC)
WINDOW = (date(2026, 2, 2), date(2026, 2, 28))


def _explain(engine: sa.Engine) -> hindsight.Explained:
    with reading(engine) as conn:
        return hindsight.explain(conn, window=WINDOW, cut_off=CUT_OFF, at=AT, reporting_currency="EUR")


def test_a_payers_own_habit_places_its_receipts(engine: sa.Engine) -> None:
    """A payer that always pays ten days late is expected ten days late; a stranger as its region pays."""
    with writing(engine) as conn:
        facts = Facts(conn)
        facts.customer("C1", party=1)
        facts.customer("C2", party=2)
        for number in range(40):
            issued = date(2025, 6, 1) + timedelta(days=number)
            facts.invoice(f"P{number}", "C1", "10.00", issued, paid=[(issued + timedelta(days=40), "10.00")])
        facts.invoice("I1", "C1", "100.00", date(2026, 1, 20))
        facts.invoice("I2", "C2", "50.00", date(2026, 1, 20))
        run_id = refresh.refresh(conn, now=CUT_OFF, reporting_currency="EUR").forecast_run
    with reading(engine) as conn:
        lines = conn.execute(sa.text("select item_key, expected_date, amount from measure.forecast_line order by 1")).all()
        behaviour = conn.execute(sa.text("select behaviour from measure.forecast_run where id = :id"), {"id": run_id}).scalar_one()
        stored = outlook.habits_published(behaviour)
        again = outlook.expected(conn, habit=stored, cut_off=CUT_OFF, bound=known(CUT_OFF), reporting_currency="EUR")
    assert [tuple(row) for row in lines] == [("I1", date(2026, 3, 1), Decimal(100)), ("I2", date(2026, 3, 1), Decimal(50))]
    assert dict(zip(again["item_key"], again["expected_date"], strict=True)) == {"I1": date(2026, 3, 1), "I2": date(2026, 3, 1)}


def test_treasurys_own_items_override_and_our_echoes_do_not_count(engine: sa.Engine) -> None:
    """An item that names an open invoice says when it comes; one of a paid invoice is not expected; our own echo is ignored."""
    with writing(engine) as conn:
        facts = Facts(conn)
        facts.customer("C1", party=1)
        facts.invoice("I1", "C1", "100.00", date(2026, 1, 20))
        facts.invoice("I2", "C1", "100.00", date(2026, 1, 1), paid=[(date(2026, 1, 5), "100.00")])
        item = {"source": "kyriba", "made_at": CUT_OFF, "currency": "EUR", "confidence": "confirmed", "expected_date": date(2026, 2, 10)}
        facts.put("forecast_item", "F1", amount=Decimal(90), reference="AR-I1", **item)
        facts.put("forecast_item", "F2", amount=Decimal(100), reference="AR-I2", **item)
        facts.put("forecast_item", "F3", amount=Decimal(100), reference="TG-abc", **item)
        facts.put("forecast_item", "F4", amount=Decimal(-40), reference="TAX", category="TAX", **item)
        refresh.refresh(conn, now=CUT_OFF, reporting_currency="EUR")
    with reading(engine) as conn:
        lines = conn.execute(sa.text("select source, item_key, expected_date, amount from measure.forecast_line order by 1, 2")).all()
    assert [tuple(row) for row in lines] == [
        ("erp", "I1", date(2026, 2, 10), Decimal(90)),
        ("kyriba", "F4", date(2026, 2, 10), Decimal(-40)),
    ]


def test_late_records_explain_the_sync_share_exactly(engine: sa.Engine) -> None:
    """A payment and an invoice that arrived here late make the sync share, each with its own part, connection and cause."""
    with writing(engine) as conn:
        facts = Facts(conn)
        facts.customer("C1", party=1)
        facts.invoice("I1", "C1", "100.00", date(2026, 1, 10))
        facts.invoice("I2", "C1", "70.00", date(2026, 1, 10), recorded_at=moment(date(2026, 2, 5)))
        facts.put("payment_application", "P1", invoice_key="I1", amount=Decimal(100), currency="EUR", clearing_date=date(2026, 2, 9),
                  changed_at=moment(date(2026, 2, 9)), recorded_at=AT + timedelta(days=2))  # fmt: skip
    found = _explain(engine)
    assert found.bridge is not None
    assert found.sync is not None
    # Known: 0 came, 100 expected. Without delay: 100 came, 170 expected.
    assert (found.sync.as_known, found.sync.without_delay, found.sync.amount) == (Decimal(-100), Decimal(-70), Decimal(-30))
    assert sum(found.bridge.causes.values()) == found.bridge.actual - found.bridge.forecast == Decimal(-100)
    late = {row["item_key"]: row for row in found.late.iter_rows(named=True)}
    assert (late["I1"]["amount"], late["I1"]["part"], late["I1"]["entity"]) == (Decimal(-100), variance.PARTS[0], "payment_application")
    assert (late["I2"]["amount"], late["I2"]["part"], late["I2"]["cause"]) == (Decimal(70), variance.PARTS[1], "waited for the next pull")
    assert sum(found.late["amount"]) == found.sync.amount


def test_nothing_to_compare_says_so(engine: sa.Engine) -> None:
    """Without facts the variance is missing with its reason."""
    found = _explain(engine)
    assert (found.bridge, found.sync) == (None, None)
    assert found.why_missing


def test_accuracy_compares_published_forecasts_with_what_came(engine: sa.Engine) -> None:
    """A forecast of a past Monday, made from what was known then, is measured week by week once the weeks are over."""
    now = datetime(2026, 3, 2, 9, tzinfo=UTC)
    with writing(engine) as conn:
        facts = Facts(conn)
        facts.customer("C1", party=1)
        facts.invoice("I1", "C1", "100.00", date(2026, 1, 10), paid=[(date(2026, 2, 10), "80.00")])
        with_reading = outlook.publish(conn, now=now, reporting_currency="EUR", cut_off=datetime(2026, 2, 1, 23, tzinfo=UTC))
        assert outlook.publish_past(conn, now=now, reporting_currency="EUR") is not None
    assert with_reading is not None
    with reading(engine) as conn:
        found = hindsight.accuracy_by_horizon(conn, at=now, reporting_currency="EUR")
    first = found.drop_nulls("wape").row(0, named=True)
    assert (first["horizon"], first["inflow"], first["wape"], first["bias"]) == (2, True, 0.25, 0.25)
