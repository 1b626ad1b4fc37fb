"""Collections, treasury's forecast, exposure, reconciliation, payment approval and liquidity, on facts alone."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sync.rules import collections, liquidity, payment_approval, reconciliation
from sync.rules.collections import Collections, OpenInvoice, Told, level
from sync.rules.exposure import Breach, standing
from sync.rules.exposure import decide as decide_breach
from sync.rules.facts import Limit, Sum
from sync.rules.treasury import Flow, Published, adjust
from tests.unit.rules_facts import NOW, PARTY, RATES, TERMS

TODAY = NOW.date()


@pytest.mark.parametrize(
    ("days", "overdue", "owed", "expected"),
    [
        (0, 0, 100, "current"),
        (1, 10, 100, "reminder"),
        (15, 10, 100, "reminder"),
        (16, 10, 100, "first dunning"),
        (31, 10, 100, "second dunning"),
        (61, 10, 100, "escalated"),
        (1, 60, 100, "first dunning"),
        (90, 100, 100, "escalated"),
    ],
)
def test_the_level_grows_with_age_and_share(days: int, overdue: int, owed: int, expected: str) -> None:
    """The age of the oldest debt sets the level; most of what is owed being overdue moves it up by one."""
    assert level(days, Decimal(overdue), Decimal(owed)) == expected


def overdue_facts(**more: object) -> Collections:
    party = msgspec.structs.replace(
        PARTY,
        sums=(Sum(kind="open_receivables", currency="USD", amount=Decimal(125)), Sum(kind="overdue", currency="USD", amount=Decimal(25))),
        oldest_days_overdue=20,
    )
    base = Collections(now=NOW, terms=TERMS, rates=RATES, party=party, account_number="1000")
    return msgspec.structs.replace(base, **more)


def test_the_crm_is_told_in_the_reporting_currency_with_a_growing_version() -> None:
    """Overdue sums are converted exactly; the version is never lower than the last one told."""
    (effect,) = collections.decide(overdue_facts()).effects
    assert (effect.payload["status"], effect.payload["overdue_amount"], effect.payload["currency"]) == ("first dunning", "20.00", "EUR")
    told = Told(status="current", overdue_amount=Decimal(0), currency="EUR", version=9_999_999_999)
    (effect,) = collections.decide(overdue_facts(told=told)).effects
    assert effect.payload["version"] == 10_000_000_000


def test_what_was_told_already_is_not_told_again() -> None:
    """The same status and amount plan nothing; neither does a customer that the CRM does not have."""
    told = Told(status="first dunning", overdue_amount=Decimal("20.00"), currency="EUR", version=1)
    assert collections.decide(overdue_facts(told=told)).outcome == "unchanged"
    assert collections.decide(overdue_facts(account_number=None)).outcome == "unchanged"


def test_without_a_rate_nobody_is_told_a_wrong_sum() -> None:
    """A debt in a currency without a rate tells the CRM nothing."""
    party = msgspec.structs.replace(PARTY, sums=(Sum(kind="overdue", currency="CHF", amount=Decimal(5)),))
    assert collections.decide(overdue_facts(party=party)).effects == ()


def test_an_invoice_takes_the_place_of_its_order_in_the_forecast() -> None:
    """When the order is invoiced treasury's flow for it is withdrawn, and the invoice is expected instead."""
    told = Published(subject="order:erp:512", amount=Decimal(100), currency="EUR", expected_date=date(2026, 4, 4))
    invoice = OpenInvoice(
        source="erp", key="I1", number="I1", open_amount=Decimal(119), currency="EUR", issue_date=TODAY, due_date=date(2026, 4, 1),
        order_subject="order:erp:512", order_rest=Decimal(0), is_new=True,
    )  # fmt: skip
    facts = Collections(now=NOW, terms=TERMS, rates=RATES, party=PARTY, invoices=(invoice,), published=(told,))
    found = [(e.subject, e.payload["amount"], e.payload["expected_date"], e.version) for e in collections.decide(facts).effects]
    assert found == [("invoice:erp:I1", "119", "2026-04-04", "1"), ("order:erp:512", "-100", "2026-04-04", "2")]


def test_a_payment_takes_the_invoice_out_and_history_is_left_alone() -> None:
    """A paid invoice that was announced is withdrawn; one that never was is not mentioned."""
    said = Published(subject="invoice:erp:I1", amount=Decimal(119), currency="EUR", expected_date=date(2026, 4, 4))
    paid = OpenInvoice(source="erp", key="I1", number="I1", open_amount=Decimal(0), currency="EUR", issue_date=TODAY)
    facts = Collections(now=NOW, terms=TERMS, rates=RATES, party=PARTY, invoices=(paid,), published=(said,))
    assert [e.payload["amount"] for e in collections.decide(facts).effects] == ["-119"]
    assert collections.decide(msgspec.structs.replace(facts, published=())).effects == ()


amounts = st.decimals(min_value=-1000, max_value=1000, places=2)
days = st.dates(min_value=date(2026, 3, 1), max_value=date(2026, 3, 5))


@given(st.lists(st.tuples(amounts, days), max_size=6), amounts, days)
@settings(max_examples=200, deadline=None)
def test_adjusting_always_ends_at_what_is_wanted(said: list[tuple[Decimal, date]], amount: Decimal, day: date) -> None:
    """Whatever was said before, the postings leave exactly the wanted amount on the wanted day, and a second time nothing."""
    published = tuple(Published(subject="s", amount=a, currency="EUR", expected_date=d) for a, d in said)
    wanted = Flow(subject="s", amount=amount, currency="EUR", expected_date=day, description="d")
    effects = adjust(published, wanted)
    after = published + tuple(
        Published(
            subject="s", amount=Decimal(e.payload["amount"]), currency="EUR", expected_date=date.fromisoformat(e.payload["expected_date"])
        )
        for e in effects
    )
    by_day: dict[date, Decimal] = {}
    for flow in after:
        by_day[flow.expected_date] = by_day.get(flow.expected_date, Decimal(0)) + flow.amount
    assert {d: total for d, total in by_day.items() if total} == ({day: amount} if amount else {})
    assert adjust(after, wanted) == ()
    assert len({effect.version for effect in effects}) == len(effects)


def test_exposure_counts_what_is_reserved_and_takes_off_securities() -> None:
    """Open orders, deliveries, receivables and reservations add up; overdue is part of receivables; securities come off."""
    party = msgspec.structs.replace(
        PARTY,
        limits=(Limit(amount=Decimal(100), currency="EUR", secured=Decimal(5)),),
        sums=tuple(Sum(kind=kind, currency="EUR", amount=Decimal(10)) for kind in
                   ("open_orders", "open_deliveries", "open_receivables", "overdue", "reserved")),
    )  # fmt: skip
    found = standing(party, RATES, TODAY)
    assert (found.exposure, found.receivables, found.overdue, found.limit) == (Decimal(35), Decimal(10), Decimal(10), Decimal(100))


def test_a_breach_needs_a_person_until_it_clears() -> None:
    """An open episode holds; a cleared one needs nobody."""
    breach = Breach(party_id=7, name="A", region="EMEA", currency="EUR", latest=Decimal(9), limit=Decimal(5), opened_at=NOW)
    assert decide_breach(breach).outcome == "breached"
    assert decide_breach(msgspec.structs.replace(breach, cleared_at=NOW)).outcome == "cleared"


LINE = reconciliation.BankLine(
    source="bank", key="E1", region="EMEA", amount=Decimal(119), currency="EUR", remittance="INV 0090000001 thanks"
)
CANDIDATE = reconciliation.Candidate(source="erp", key="90000001", number="0090000001", open_amount=Decimal(119), currency="EUR")


def test_a_bank_line_is_matched_by_its_references() -> None:
    """Named and equal is matched; named and different is partial; nothing named is for a hand; other currencies never match."""
    facts = reconciliation.Reconciliation(line=LINE, candidates=(CANDIDATE,))
    assert reconciliation.decide(facts).outcome == "matched"
    less = msgspec.structs.replace(LINE, amount=Decimal(100))
    assert reconciliation.decide(msgspec.structs.replace(facts, line=less)).outcome == "partial"
    other = msgspec.structs.replace(LINE, remittance="no number here")
    assert reconciliation.decide(msgspec.structs.replace(facts, line=other)).outcome == "hand"
    dollars = msgspec.structs.replace(CANDIDATE, currency="USD")
    decision = reconciliation.decide(msgspec.structs.replace(facts, candidates=(dollars,)))
    assert reconciliation.by_hand([decision]) == [decision]


def test_a_payment_above_the_threshold_needs_two_others() -> None:
    """Who asked never counts as who approves; without a rate nothing is approved."""
    payment = payment_approval.OutgoingPayment(
        source="erp", key="P1", region="EMEA", payee="Supplier", amount=Decimal(50000), currency="EUR", requester="ana",
        approvers=("ana", "ben"),
    )  # fmt: skip
    thresholds = (
        payment_approval.Threshold(above=Decimal(1000), approvals=1),
        payment_approval.Threshold(above=Decimal(10000), approvals=2),
    )
    facts = payment_approval.PaymentApproval(payment=payment, thresholds=thresholds, rates=RATES)
    assert payment_approval.decide(facts).outcome == "hold"
    agreed = msgspec.structs.replace(payment, approvers=("ben", "cem"))
    assert payment_approval.decide(msgspec.structs.replace(facts, payment=agreed)).outcome == "approve"
    francs = msgspec.structs.replace(agreed, currency="CHF")
    assert payment_approval.decide(msgspec.structs.replace(facts, payment=francs)).outcome == "hold"


def test_liquidity_alerts_at_the_first_week_below_the_minimum() -> None:
    """The gap and its week are named; a position that stays above needs nobody."""
    weeks = (liquidity.Week(start=date(2026, 3, 9), net=Decimal(-60)), liquidity.Week(start=date(2026, 3, 16), net=Decimal(90)))
    facts = liquidity.Liquidity(region="EMEA", currency="EUR", on=TODAY, position=Decimal(100), minimum=Decimal(50), weeks=weeks)
    decision = liquidity.decide(facts)
    assert (decision.outcome, decision.amount) == ("alert", Decimal(10))
    assert "2026-03-09" in decision.reasons[0].words
    assert liquidity.decide(msgspec.structs.replace(facts, weeks=())).outcome == "enough"
