"""What releases an order and what holds it, on facts alone."""

from __future__ import annotations

import json
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sync.rules.facts import Limit, Sum, from_inputs, to_inputs
from sync.rules.order_to_cash import OrderToCash, decide
from tests.unit.rules_facts import CONTRACT, NOW, facts

GOLDEN = Path(__file__).parent / "golden_decisions.json"


def codes(found: OrderToCash) -> list[str]:
    return [reason.code for reason in decide(found).reasons]


def test_the_good_case_is_released_with_its_forecast() -> None:
    """Within the limit, active contract, known payer: release and forecast, expected after terms and median lateness."""
    decision = decide(facts())
    assert decision.outcome == "release"
    release, forecast = decision.effects
    assert (release.kind, release.subject, release.version) == ("release_order", "512", "1")
    assert (forecast.kind, forecast.payload["amount"], forecast.payload["expected_date"]) == ("publish_forecast", "40000", "2026-04-04")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"party": {"limits": ()}}, "limit_none"),
        ({"party": {"limits": (Limit(amount=None, currency="EUR"),)}}, "limit_none"),
        ({"party": {"limits": (Limit(amount=Decimal(0), currency="EUR"),)}}, "limit_zero"),
        ({"party": {"limits": (Limit(amount=Decimal(9), currency="EUR", valid_to=date(2026, 3, 1)),)}}, "limit_expired"),
        ({"party": {"limits": (Limit(amount=Decimal(9), currency="EUR", valid_from=date(2026, 3, 3)),)}}, "limit_expired"),
        ({"party": {"limits": (Limit(amount=Decimal(99999), currency="EUR", is_blocked=True),)}}, "limit_blocked"),
        ({"party": {"limits": (Limit(amount=Decimal(99999), currency="CHF"),)}}, "no_rate"),
        ({"party": {"blocks": ("order block",)}}, "customer_blocked"),
        ({"party": {"complete_until": None}}, "stale_inputs"),
        ({"party": {"complete_until": NOW - timedelta(days=2)}}, "stale_inputs"),
        ({"party": {"median_days_late": 31}}, "slow_payer"),
        ({"party": {"terms_days": 120}}, "cash_too_late"),
        ({"party": {"sums": (Sum(kind="open_receivables", currency="EUR", amount=Decimal("60000.5")),)}}, "over_limit"),
        ({"party": {"sums": (Sum(kind="open_receivables", currency="CHF", amount=Decimal(1)),)}}, "no_rate"),
        ({"order": {"currency": "CHF"}}, "no_rate"),
        ({"order": {"net_value": None}}, "no_value"),
        ({"order": {"contract_number": None}}, "no_contract"),
        ({"contract": None}, "contract_unknown"),
        (
            {"party": {"limits": (Limit(amount=Decimal(59999), currency="EUR"), Limit(amount=Decimal(999999), currency="EUR"))}},
            "over_limit",
        ),
    ],
)
def test_what_is_never_released(change: dict[str, Any], code: str) -> None:
    """Each missing or bad fact alone holds the order, under its own code, and plans nothing."""
    decision = decide(facts(**change))
    assert decision.outcome == "hold"
    assert code in [reason.code for reason in decision.reasons]
    assert decision.effects == ()


def test_an_unknown_customer_is_never_released() -> None:
    """Without a party there is nothing to judge by."""
    base = facts()
    assert decide(OrderToCash(now=base.now, terms=base.terms, rates=base.rates, order=base.order, contract=CONTRACT)).outcome == "hold"


def test_an_inactive_contract_holds() -> None:
    """A contract that is still in approval does not release its order."""
    base = facts()
    draft = from_inputs({**to_inputs(CONTRACT), "status": "in_approval"}, type(CONTRACT))
    assert codes(facts(contract=draft)) == ["contract_not_active"]
    assert base.contract == CONTRACT


def test_a_missing_fact_is_waited_for_while_there_is_patience() -> None:
    """What may still arrive is waited for; when patience is over a person decides."""
    assert decide(facts(contract=None, patience=1)).outcome == "wait"
    assert decide(facts(contract=None, patience=0)).outcome == "hold"


def test_an_order_that_does_not_wait_is_left_alone() -> None:
    """A released, deleted or cancelled order needs no decision."""
    for change in ({"credit_status": "released"}, {"is_deleted": True}, {"status": "cancelled"}):
        assert decide(facts(order=change)).outcome == "none"


def test_amounts_are_compared_in_the_reporting_currency() -> None:
    """An order in dollars is converted before it is held against a limit in euros."""
    assert decide(facts(order={"currency": "USD", "net_value": Decimal(100000)})).outcome == "release"
    assert codes(facts(order={"currency": "USD", "net_value": Decimal("100000.01")})) == ["over_limit"]


@given(
    st.decimals(min_value=0, max_value=200000, places=2),
    st.decimals(min_value=0, max_value=200000, places=2),
    st.decimals(min_value=1, max_value=200000, places=2),
)
@settings(max_examples=200, deadline=None)
def test_a_release_never_exceeds_the_limit(open_amount: Decimal, value: Decimal, limit: Decimal) -> None:
    """For any amounts: released exactly when exposure plus order stays within the limit."""
    found = facts(
        order={"net_value": value},
        party={
            "limits": (Limit(amount=limit, currency="EUR"),),
            "sums": (Sum(kind="open_receivables", currency="EUR", amount=open_amount),),
        },
    )
    assert (decide(found).outcome == "release") is (open_amount + value <= limit)


def test_a_decision_can_be_taken_again_from_its_stored_inputs() -> None:
    """The inputs survive JSON unchanged, and the same facts lead to the same decision."""
    decision = decide(facts(party={"median_days_late": 40}))
    stored = json.loads(json.dumps(decision.inputs))
    again = decide(from_inputs(stored, OrderToCash))
    assert again == decision


def test_golden_decisions_are_still_taken_alike() -> None:
    """Decisions recorded with rule version 1 come out the same on today's code: no unexplained change."""
    for entry in json.loads(GOLDEN.read_text()):
        decision = decide(from_inputs(entry["inputs"], OrderToCash))
        found = {
            "version": decision.version,
            "outcome": decision.outcome,
            "reasons": [str(reason) for reason in decision.reasons],
            "effects": [f"{effect.kind} {effect.subject} {effect.version}" for effect in decision.effects],
        }
        assert found == entry["decided"], entry["name"]
