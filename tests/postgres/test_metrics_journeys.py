"""Journeys: one transaction by any of its numbers, its gaps, its three clocks, its export."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
import sqlalchemy as sa

from db.engine import Writing, reading, writing
from metrics import journeys, ocel
from metrics.frames import known
from tests.postgres.metrics_facts import Facts, moment

NOW = datetime(2026, 3, 20, 9, tzinfo=UTC)


def _deal(engine: sa.Engine) -> None:
    with writing(engine) as conn:
        facts = Facts(conn)
        facts.customer("C1", party=1)
        facts.put("quote", "q1", source="crm", number="Q-1", opportunity_key="o1", status="accepted", amount=Decimal(100), currency="EUR",
                  changed_at=moment(date(2026, 1, 2)))  # fmt: skip
        facts.put("contract", "c1", source="crm", customer_key="A1", number="K-1", opportunity_key="o1", status="activated", value=Decimal(100),
                  currency="EUR", approved_at=moment(date(2026, 1, 5)), changed_at=moment(date(2026, 1, 5)))  # fmt: skip
        facts.put("sales_order", "512", number="512", contract_number="K-1", customer_key="C1", net_value=Decimal(100), currency="EUR",
                  order_date=date(2026, 1, 6), credit_status="released", released_at=moment(date(2026, 1, 8)), status="open",
                  changed_at=moment(date(2026, 1, 8)), recorded_at=moment(date(2026, 1, 8)) + timedelta(minutes=3))  # fmt: skip
        facts.put("delivery", "D1", number="D1", order_key="512", customer_key="C1", goods_issued_on=date(2026, 1, 12), is_invoiced=True,
                  changed_at=moment(date(2026, 1, 12)))  # fmt: skip
        facts.invoice("90001", "C1", "119.00", date(2026, 1, 13), order_number="512", payment_reference="RF90001", posting_date=date(2026, 1, 13),
                      paid=[(date(2026, 2, 20), "100.00")])  # fmt: skip
        facts.put("bank_transaction", "b1", source="bank", account="DE1", amount=Decimal(100), currency="EUR", booking_date=date(2026, 2, 19),
                  structured_reference="RF90001", changed_at=moment(date(2026, 2, 19)))  # fmt: skip


@pytest.mark.parametrize("number", ["Q-1", "K-1", "512", "D1", "90001", "RF90001"])
def test_any_number_finds_the_same_transaction(engine: sa.Engine, number: str) -> None:
    """Quote, contract, order, delivery, invoice and payment reference lead to one journey, in the order in which it happened."""
    _deal(engine)
    with reading(engine) as conn:
        found = journeys.find(conn, number, now=NOW)
    assert found is not None
    assert [hop.kind for hop in found.hops] == [
        "quote", "contract", "order", "release", "delivery", "invoice", "posting", "bank line", "clearing", "clearing",
    ]  # fmt: skip
    assert (found.customer, found.region) == ("Customer C1", "EMEA")


def test_a_part_paid_overdue_invoice_is_a_gap(engine: sa.Engine) -> None:
    """What is still open past its due date is shown as a gap with the amount, and no such gap before."""
    _deal(engine)
    with reading(engine) as conn:
        found = journeys.find(conn, "90001", now=NOW)
        before = journeys.find(conn, "90001", now=NOW, bound=known(datetime(2026, 1, 20, tzinfo=UTC)))
        nobody = journeys.find(conn, "nothing", now=NOW)
    assert found is not None
    assert before is not None
    assert [hop.words for hop in found.hops if hop.is_gap] == ["due 2026-02-12, 19.0000 EUR open"]
    assert [hop.is_gap for hop in before.hops] == [False] * 7
    assert nobody is None


def test_time_is_split_into_three_clocks(engine: sa.Engine) -> None:
    """The way here is integration time, an open case is human time, and the rest since the hop before is business time."""
    _deal(engine)
    with writing(engine) as conn:
        conn.execute(
            sa.text(
                "with d as (insert into process.decision (rule, rule_version, subject_kind, subject_source, subject_key, region, outcome, decided_at,"
                " decided_by) values ('order_to_cash', '1', 'order', 'erp', '512', 'EMEA', 'hold', '2026-01-06 13:00Z', 'rule') returning id)"
                ' insert into process."case" (decision_id, kind, region, subject_key, state, opened_at, opened_by, closed_at, closed_by)'
                " select id, 'credit', 'EMEA', '512', 'approved', '2026-01-06 13:00Z', 'rule', '2026-01-07 13:00Z', 'ann' from d"
            )
        )
    with reading(engine) as conn:
        found = journeys.find(conn, "512", now=NOW)
    assert found is not None
    hops = {hop.kind: hop for hop in found.hops}
    assert hops["order"].human_seconds == 86_400
    assert hops["order"].integration_seconds == 180
    assert hops["decision"].words.startswith("hold · order_to_cash 1")
    assert hops["delivery"].business_seconds == 4 * 86_400


def test_a_held_order_is_a_gap(engine: sa.Engine) -> None:
    """An order that the credit check holds waits for its release, in words."""
    with writing(engine) as conn:
        facts = Facts(conn)
        facts.customer("C1", party=1)
        facts.put(
            "sales_order",
            "7",
            number="7",
            customer_key="C1",
            net_value=Decimal(5),
            currency="EUR",
            credit_status="blocked",
            delivery_block="01",
        )
    with reading(engine) as conn:
        found = journeys.find(conn, "7", now=NOW)
    assert found is not None
    assert found.hops[-1].is_gap
    assert found.hops[-1].words == "order 7 is held by the credit check: no decision yet"


def test_the_export_is_object_centric(engine: sa.Engine) -> None:
    """OCEL 2.0: every event touches objects that exist, and every type is declared."""
    _deal(engine)
    with reading(engine) as conn:
        found = journeys.find(conn, "K-1", now=NOW)
    assert found is not None
    document = json.loads(ocel.document(found))
    ids = {one["id"] for one in document["objects"]}
    touched = {relation["objectId"] for event in document["events"] for relation in event["relationships"]}
    assert touched <= ids
    assert {one["type"] for one in document["objects"]} == {one["name"] for one in document["objectTypes"]}
    assert {one["type"] for one in document["events"]} == {one["name"] for one in document["eventTypes"]}


def test_search_finds_by_beginning(engine: sa.Engine) -> None:
    """The beginning of a number finds it with its kind; a wildcard is only a character."""
    _deal(engine)
    with reading(engine) as conn:
        assert journeys.search(conn, "900").select("number", "kind").rows() == [("90001", "invoice")]
        assert journeys.search(conn, "%").is_empty()


@pytest.mark.parametrize("decided_at", ["2026-01-06 08:00Z", "2026-01-06 20:00Z", "2026-01-05 22:00Z"])
def test_an_order_never_stands_behind_its_own_decision(engine: sa.Engine, decided_at: str) -> None:
    """Its system tells no more than the day, which is a day, and in Tokyo begins the evening before; no time passes between the two."""
    _deal(engine)
    with writing(engine) as conn:
        _decide(conn, "order_to_cash", "release", decided_at, "rule:order_to_cash", "within_policy: Within policy")
    with reading(engine) as conn:
        found = journeys.find(conn, "512", now=NOW)
    assert found is not None
    kinds = [hop.kind for hop in found.hops]
    assert kinds[2:5] == ["order", "decision", "release"]
    order, decision, release = found.hops[2:5]
    assert order.occurred_at == date(2026, 1, 6)
    assert decision.business_seconds == max(0.0, (datetime.fromisoformat(decided_at) - order.placed_at).total_seconds())
    assert order.placed_at <= decision.placed_at <= release.placed_at
    events = json.loads(ocel.document(found))["events"]
    assert [event["time"] for event in events] == sorted(event["time"] for event in events)


def test_what_a_person_asked_of_an_order_is_no_credit_decision(engine: sa.Engine) -> None:
    """The request and the word on it stand in the journey by name, with who said it and why."""
    _deal(engine)
    with writing(engine) as conn:
        _decide(conn, "person", "hold", "2026-01-09 08:00Z", "oskar", "block the order again: Standstill")
        _decide(conn, "person", "approved", "2026-01-09 09:00Z", "amir", "person: Agreed")
    with reading(engine) as conn:
        found = journeys.find(conn, "512", now=NOW)
    assert found is not None
    assert [(hop.title, hop.words) for hop in found.hops if hop.kind in ("decision", "request")] == [
        ("Change of the order", "asked for · by oskar: block the order again: Standstill"),
        ("Change of the order", "approved · by amir: Agreed"),
    ]


def test_two_systems_with_the_same_number_do_not_mix(engine: sa.Engine) -> None:
    """What was decided about, and waited for, an order 512 of another system, or an invoice 512 of this one, is no part of this journey."""
    _deal(engine)
    with writing(engine) as conn:
        _decide(conn, "order_to_cash", "release", "2026-01-07 08:00Z", "rule:order_to_cash", "within_policy: Within policy")
        _decide(conn, "order_to_cash", "hold", "2026-01-07 09:00Z", "rule:order_to_cash", "limit: Over the limit", source="other-erp")
        conn.execute(
            sa.text(
                'insert into process."case" (decision_id, kind, region, subject_key, state, opened_at, opened_by)'
                " select id, 'credit_hold', 'EMEA', '512', 'open', decided_at, 'rule' from process.decision where subject_source = 'other-erp'"
            )
        )
        conn.execute(
            sa.text(
                "insert into process.exception (fingerprint, cause, severity, state, kind, connection, stream, region, entity, source_key,"
                " message, first_seen, last_seen)"
                " select f, 'bad_currency', 'high', 'new', 'record', c, 'orders', 'EMEA', e, '512', 'no', '2026-01-07Z', '2026-01-07Z'"
                " from (values ('a', 'other-erp', 'sales_order'), ('b', 'erp', 'invoice')) as other(f, c, e)"
            )
        )
    with reading(engine) as conn:
        found = journeys.find(conn, "512", now=NOW)
    assert found is not None
    assert [hop.words for hop in found.hops if hop.kind == "decision"] == ["release · order_to_cash 1"]
    assert [hop.human_seconds for hop in found.hops if hop.human_seconds] == []


def _decide(conn: Writing, rule: str, outcome: str, at: str, by: str, reason: str, *, source: str = "erp") -> None:
    conn.execute(
        sa.text(
            "insert into process.decision (rule, rule_version, subject_kind, subject_source, subject_key, region, outcome, reasons, decided_at,"
            " decided_by) values (:rule, '1', 'order', :source, '512', 'EMEA', :outcome, array[:reason], :at, :by)"
        ),
        {"source": source, "rule": rule, "outcome": outcome, "at": datetime.fromisoformat(at), "by": by, "reason": reason},
    )
