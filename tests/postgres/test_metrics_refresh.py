"""The read models: touched groups only, and always equal to a computation from scratch."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from db.engine import reading, writing
from metrics import refresh
from metrics.refresh import Refreshed
from tests.postgres.metrics_facts import Facts

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
_MODELS = ("invoice_fact", "latency_rollup", "exposure", "cash_position", "figure")
_LEFT_OUT = {"computed_at", "as_of"}


def _refresh(engine: sa.Engine, now: datetime = NOW) -> Refreshed:
    return refresh.run(engine, now=now, reporting_currency="EUR")


def _models(engine: sa.Engine) -> dict[str, list[Any]]:
    found = {}
    with reading(engine) as conn:
        for name in _MODELS:
            rows = conn.execute(sa.text(f"select * from measure.{name}")).mappings()
            found[name] = sorted(repr({key: value for key, value in row.items() if key not in _LEFT_OUT}) for row in rows)
    return found


def test_a_refresh_without_marks_does_nothing(engine: sa.Engine) -> None:
    """After everything is up to date, a refresh touches no group."""
    _refresh(engine)
    assert _refresh(engine) == Refreshed()


def test_an_invoice_and_its_payment_reach_the_read_models(engine: sa.Engine) -> None:
    """Marks of an invoice and its payment bring its fact, its latency group and its party's exposure up to date."""
    with writing(engine) as conn:
        facts = Facts(conn)
        facts.customer("C1", party=1, limit="1000")
        facts.invoice("I1", "C1", "400.00", date(2026, 1, 5), paid=[(date(2026, 1, 25), "400.00")])
        facts.invoice("I2", "C1", "250.00", date(2026, 1, 6), paid=[(date(2026, 2, 1), "50.00")])
    done = _refresh(engine)
    assert (done.invoices, done.groups, done.parties) == (2, 1, 1)
    with reading(engine) as conn:
        facts_now = conn.execute(
            sa.text("select source_key, open_amount, days_to_pay, party_id from measure.invoice_fact order by 1")
        ).all()
        rollup = conn.execute(sa.text("select invoices, cleared, late, p50, histogram from measure.latency_rollup")).all()
        exposure = conn.execute(sa.text("select exposure, overdue, utilisation, limit_state, median_days_late from measure.exposure")).all()
    assert [tuple(row) for row in facts_now] == [("I1", Decimal("0.0000"), 20, 1), ("I2", Decimal("200.0000"), None, 1)]
    assert [tuple(row) for row in rollup] == [(2, 1, 0, Decimal(20), {"20": 1})]
    assert [tuple(row) for row in exposure] == [(Decimal(200), Decimal(200), Decimal("0.2"), "valid", -10)]


def test_cancelled_and_deleted_invoices_leave_the_read_models(engine: sa.Engine) -> None:
    """A cancellation and a deletion take the fact and its empty group away."""
    with writing(engine) as conn:
        facts = Facts(conn)
        facts.customer("C1", party=1)
        facts.invoice("I1", "C1", "400.00", date(2026, 1, 5))
        facts.invoice("I2", "C1", "400.00", date(2026, 1, 5))
    _refresh(engine)
    with writing(engine) as conn:
        facts = Facts(conn)
        facts.invoice("I1", "C1", "400.00", date(2026, 1, 5), version=2, status="cancelled")
        facts.invoice("I2", "C1", "400.00", date(2026, 1, 5), version=2, is_deleted=True)
    _refresh(engine)
    assert _models(engine)["invoice_fact"] == []
    assert _models(engine)["latency_rollup"] == []


def test_breach_episodes_open_peak_and_clear(engine: sa.Engine) -> None:
    """Exposure above a valid limit opens one episode, keeps its peak, and clears when it is within the limit again."""
    with writing(engine) as conn:
        facts = Facts(conn)
        facts.customer("C1", party=1, limit="500")
        facts.invoice("I1", "C1", "600.00", date(2026, 2, 1))
    opened = _refresh(engine).opened
    assert [(e.party_id, e.peak) for e in opened] == [(1, Decimal(600))]
    with writing(engine) as conn:
        Facts(conn).invoice("I2", "C1", "300.00", date(2026, 2, 2))
    assert _refresh(engine, NOW + timedelta(hours=1)).opened == ()
    with writing(engine) as conn:
        Facts(conn).invoice("I1", "C1", "600.00", date(2026, 2, 1), version=2, paid=[(date(2026, 3, 2), "600.00")])
    (cleared,) = _refresh(engine, NOW + timedelta(hours=2)).cleared
    assert (cleared.peak, cleared.latest, cleared.cleared_at) == (Decimal(900), Decimal(300), NOW + timedelta(hours=2))


def test_an_item_in_flight_counts_once(engine: sa.Engine) -> None:
    """Of an order, what is billed is an invoice, what is delivered a delivery, the rest an order; held orders are none of them."""
    with writing(engine) as conn:
        facts = Facts(conn)
        facts.customer("C1", party=1, limit="5000")
        order: dict[str, Any] = {"customer_key": "C1", "currency": "EUR", "delivery_status": "partial", "billing_status": "partial"}
        facts.put("sales_order", "O1", number="O1", net_value=Decimal(1000), credit_status="released", **order)
        facts.put("sales_order", "O2", number="O2", net_value=Decimal(700), credit_status="blocked", delivery_block="01", **order)
        facts.put("delivery", "D1", number="D1", order_key="O1", customer_key="C1", value=Decimal(300), currency="EUR")
        facts.invoice("I1", "C1", "238.00", date(2026, 2, 1), order_number="O1", tax=Decimal(38))
    _refresh(engine)
    with reading(engine) as conn:
        row = conn.execute(sa.text("select open_orders, open_deliveries, open_receivables, exposure from measure.exposure")).one()
    assert tuple(row) == (Decimal(500), Decimal(300), Decimal(238), Decimal(1038))


def _random_world(facts: Facts, dice: random.Random, step: int) -> None:
    for number in range(30):
        key, customer = f"I{dice.randrange(60)}", f"C{dice.randrange(6)}"
        issued = date(2026, 1, 1) + timedelta(days=dice.randrange(50))
        paid = [(issued + timedelta(days=dice.randrange(60)), dice.choice(["100.00", "40.00", "60.00"])) for _ in range(dice.randrange(3))]
        status = dice.choice(["posted"] * 6 + ["cancelled", "draft"])
        facts.invoice(
            key, customer, "100.00", issued, version=step * 100 + number, paid=paid, status=status, currency=dice.choice(["EUR", "USD"]),
            legal_entity=dice.choice(["DE01", None]), is_credit=dice.random() < 0.1, is_deleted=dice.random() < 0.05,
        )  # fmt: skip
    for number in range(4):
        facts.put(
            "sales_order", f"O{dice.randrange(5)}", version=step * 100 + number, number=f"O{number}", customer_key=f"C{dice.randrange(6)}",
            net_value=Decimal(dice.randrange(900)), currency="EUR", credit_status=dice.choice(["blocked", "released"]),
        )  # fmt: skip


def test_touched_groups_equal_a_rebuild(engine: sa.Engine) -> None:
    """However facts arrive, refreshing only what they touch gives the same read models as computing all of them anew."""
    dice = random.Random(4)
    with writing(engine) as conn:
        facts = Facts(conn)
        facts.rate("USD", date(2025, 12, 31), "1.10")
        facts.rate("USD", date(2026, 2, 1), "1.25")
        for number in range(6):
            facts.customer(f"C{number}", party=number + 1, limit="900")
        facts.put(
            "bank_balance",
            "B1",
            account="DE1",
            balance_type="closing_booked",
            as_of_date=date(2026, 3, 1),
            amount=Decimal(5000),
            currency="EUR",
        )
    for step in range(1, 5):
        with writing(engine) as conn:
            _random_world(Facts(conn), dice, step)
        _refresh(engine, NOW + timedelta(hours=step))
    by_marks = _models(engine)
    refresh.rebuild(engine, now=NOW + timedelta(hours=4), reporting_currency="EUR")
    assert by_marks == _models(engine)
    assert all(by_marks.values())


def test_a_mark_set_while_a_refresh_runs_waits_for_nobody_and_is_not_lost(engine: sa.Engine) -> None:
    """A fact lands beside a running refresh of the same invoice without waiting for it, its mark outlives that refresh, and a second
    refresh waits until the first is done: what was computed last is what stays.
    """
    with writing(engine) as conn:
        facts = Facts(conn)
        facts.customer("C1", party=1)
        facts.invoice("I1", "C1", "400.00", date(2026, 1, 5))
    with ThreadPoolExecutor(1) as pool:
        with writing(engine) as first:
            refresh.refresh(first, now=NOW, reporting_currency="EUR")
            with writing(engine) as beside:
                beside.execute(sa.text("set local lock_timeout = '2s'"))
                Facts(beside).invoice("I1", "C1", "500.00", date(2026, 1, 5), version=2)
            second = pool.submit(_refresh, engine, NOW)
            assert not wait([second], timeout=0.5).done
        assert second.result(timeout=60).invoices == 1
    with reading(engine) as conn:
        assert conn.execute(sa.text("select gross from measure.invoice_fact")).scalars().all() == [Decimal(500)]
        assert conn.execute(sa.text("select count(*) from measure.touched")).scalar_one() == 0


def test_a_customer_linked_later_takes_its_invoices_along(engine: sa.Engine) -> None:
    """When a party is found after the invoices were computed, the next refresh counts them to it."""
    with writing(engine) as conn:
        facts = Facts(conn)
        facts.put("customer", "C1", number="C1", name="Late", country="DE")
        facts.invoice("I1", "C1", "70.00", date(2026, 2, 1))
    _refresh(engine)
    with writing(engine) as conn:
        conn.execute(
            sa.text("insert into canonical.party (id, name, region, recorded_at) overriding system value values (5, 'P', 'EMEA', now())")
        )
        conn.execute(
            sa.text(
                "insert into canonical.identity_link (source, source_key, party_id, region, matched_by, confidence, recorded_at)"
                " values ('erp', 'C1', 5, 'EMEA', 'number', 1, now())"
            )
        )
    _refresh(engine, NOW)
    with reading(engine) as conn:
        assert conn.execute(sa.text("select open_receivables from measure.exposure where party_id = 5")).scalar_one() == Decimal(70)


def test_half_a_history_opens_no_breach(engine: sa.Engine) -> None:
    """While a stream is being read for the first time, exposure is kept but no episode opens and no forecast is published."""
    with writing(engine) as conn:
        conn.execute(sa.text("insert into process.stream (connection, stream, region) values ('erp', 'payments', 'EMEA')"))
        facts = Facts(conn)
        facts.customer("C1", party=1, limit="500")
        facts.customer("C2", party=2, limit="500")
        facts.invoice("I1", "C1", "600.00", date(2026, 2, 1))
    filling = _refresh(engine)
    assert (filling.parties, filling.opened, filling.forecast_run) == (2, (), None)
    with writing(engine) as conn:
        conn.execute(sa.text("update process.stream set live_since = '2026-03-01'"))
        Facts(conn).invoice("I2", "C2", "10.00", date(2026, 2, 1))
    complete = _refresh(engine)
    assert [episode.party_id for episode in complete.opened] == [1]
    assert complete.forecast_run is not None
