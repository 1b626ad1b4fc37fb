"""From a signed contract to cash: may the ERP release the order that waits for a credit decision?

Within policy the order is released and treasury told what to expect; beyond it, or with a needed fact missing, a person decides.
Never released: no or expired limit, unknown customer, blocked account, a currency without a rate, facts older than the bound.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal

from sync.rules import exposure
from sync.rules.facts import ZERO, Decision, Effect, Fact, Order, Party, Rates, Reason, SalesContract, Terms, to_inputs
from sync.rules.treasury import Flow, Published, adjust

RULE = "order_to_cash"
VERSION = "1"
PATIENCE = 5
"""How often a decision that waits for a fact is tried again before it becomes a case."""


class OrderToCash(Fact, frozen=True, kw_only=True):
    """One order that waits, with everything known about it. `patience`: how many more tries a missing fact is given."""

    now: datetime
    terms: Terms
    rates: Rates
    order: Order
    contract: SalesContract | None = None
    party: Party | None = None
    patience: int = 0
    published: tuple[Published, ...] = ()


def decide(facts: OrderToCash) -> Decision:
    """Outcome release (with its effects), hold (a person decides), wait (a fact is on its way), none (nothing to decide)."""
    order = facts.order
    if not order.is_credit_blocked:
        return _decision(facts, "none", (Reason(code="not_blocked", words=f"order {order.number} does not wait for a credit decision"),))
    waiting = _waiting(facts)
    if waiting and facts.patience > 0:
        return _decision(facts, "wait", waiting)
    reasons = (*waiting, *_objections(facts))
    if reasons:
        return _decision(facts, "hold", reasons)
    return _decision(facts, "release", (_consent(facts),), release_effects(facts))


def release_effects(facts: OrderToCash) -> tuple[Effect, ...]:
    """What a release writes: the ERP order, and the cash that treasury may expect. Also used when a person approves."""
    order = facts.order
    release = Effect(
        kind="release_order",
        object_key=order.key,
        subject=order.key,
        version=str(order.episode),
        source=order.source,
        payload={
            "order": order.number,
            "etag": order.etag,
            "block_reason": order.delivery_block or "01",
            "episode": order.episode,
            "amount": None if order.net_value is None else str(order.net_value),
            "currency": order.currency,
            "party_id": None if facts.party is None else facts.party.id,
        },
    )
    if order.net_value is None or order.currency is None:
        return (release,)
    flow = Flow(
        subject=f"order:{order.source}:{order.key}",
        amount=order.net_value,
        currency=order.currency,
        expected_date=expected_cash_date(facts),
        company=order.legal_entity,
        description=f"Order {order.number}" + (f", {facts.party.name}" if facts.party else ""),
    )
    return (release, *adjust(facts.published, flow))


def expected_cash_date(facts: OrderToCash) -> date:
    """When the order's cash may be expected: delivery, then the payment terms, then the customer's own median lateness."""
    party = facts.party
    today = facts.now.date()
    delivered = max(today, facts.order.requested_delivery or today)
    terms = facts.terms.default_terms_days if party is None or party.terms_days is None else party.terms_days
    late = 0 if party is None or party.median_days_late is None else max(party.median_days_late, 0)
    return delivered + timedelta(days=terms + late)


def _waiting(facts: OrderToCash) -> tuple[Reason, ...]:
    """Facts that may still arrive by themselves."""
    order, reasons = facts.order, []
    if order.contract_number is not None and facts.contract is None:
        reasons.append(Reason(code="contract_unknown", words=f"contract {order.contract_number} is not here yet"))
    if facts.party is None:
        reasons.append(Reason(code="unknown_customer", words=f"customer {order.customer_key} of {order.source} is not known"))
    else:
        seen = facts.party.complete_until
        bound = facts.now - timedelta(minutes=facts.terms.max_input_age_minutes)
        if seen is None or seen < bound:
            since = "never" if seen is None else f"{seen:%Y-%m-%d %H:%M} UTC"
            words = f"what {order.source} says was last complete {since}; the bound is {facts.terms.max_input_age_minutes} minutes"
            reasons.append(Reason(code="stale_inputs", words=words))
    return tuple(reasons)


def _objections(facts: OrderToCash) -> tuple[Reason, ...]:
    order, contract, party, reasons = facts.order, facts.contract, facts.party, []
    if order.blocked_by is not None:
        words = f"order {order.number} was blocked again at the word of {order.blocked_by}: a person has to release it"
        reasons.append(Reason(code="blocked_by_person", words=words))
    if order.contract_number is None:
        reasons.append(Reason(code="no_contract", words=f"order {order.number} names no contract"))
    if contract is not None and contract.status != "activated":
        reasons.append(Reason(code="contract_not_active", words=f"contract {contract.number} is {contract.status}, not activated"))
    if order.net_value is None or order.currency is None:
        reasons.append(Reason(code="no_value", words=f"order {order.number} has no value or no currency"))
    if party is None:
        return tuple(reasons)
    if party.blocks:
        reasons.append(Reason(code="customer_blocked", words=f"{party.name} is blocked in the ERP: {', '.join(party.blocks)}"))
    return (*reasons, *_credit(facts, party), *_behaviour(facts, party))


def _credit(facts: OrderToCash, party: Party) -> list[Reason]:
    at, rates, order = exposure.standing(party, facts.rates, facts.now.date()), facts.rates, facts.order
    money = f"{{:,.2f}} {rates.reporting}".format
    value = None
    if order.net_value is not None and order.currency is not None:
        value = rates.convert(order.net_value, order.currency)
    missing = at.missing_rate or (order.currency if value is None else None)
    if missing is not None:
        return [Reason(code="no_rate", words=f"there is no exchange rate for {missing}")]
    if at.limit_state != "valid" or at.limit is None:
        words = {
            "none": "has no credit limit", "expired": "has no credit limit that is valid today",
            "zero": "has a credit limit of zero", "blocked": "has a blocked credit account",
        }.get(at.limit_state, "has no valid credit limit")  # fmt: skip
        return [Reason(code=f"limit_{at.limit_state}", words=f"{party.name} {words}")]
    reasons = []
    after, allowed = at.exposure + (value or ZERO), at.limit * facts.terms.max_utilisation
    if after > allowed:
        share = _percent(after / at.limit)
        words = f"exposure would be {money(after)} of a limit of {money(at.limit)} ({share}); allowed {money(allowed)}"
        reasons.append(Reason(code="over_limit", words=words))
    if at.receivables > 0 and at.overdue / at.receivables > facts.terms.max_overdue_share:
        share = _percent(at.overdue / at.receivables)
        words = f"{money(at.overdue)} of {money(at.receivables)} is overdue ({share}); allowed {_percent(facts.terms.max_overdue_share)}"
        reasons.append(Reason(code="overdue", words=words))
    return reasons


def _behaviour(facts: OrderToCash, party: Party) -> list[Reason]:
    reasons, terms = [], facts.terms
    if party.median_days_late is not None and party.median_days_late > terms.max_median_days_late:
        words = f"{party.name} pays {party.median_days_late} days late in the median; allowed {terms.max_median_days_late}"
        reasons.append(Reason(code="slow_payer", words=words))
    expected = expected_cash_date(facts)
    days = (expected - facts.now.date()).days
    if days > terms.expected_cash_days:
        words = f"cash is expected on {expected}, in {days} days; allowed {terms.expected_cash_days}"
        reasons.append(Reason(code="cash_too_late", words=words))
    return reasons


def _consent(facts: OrderToCash) -> Reason:
    party = facts.party
    assert party is not None  # noqa: S101  (an unknown party never gets here)
    at = exposure.standing(party, facts.rates, facts.now.date())
    words = (
        f"exposure {at.exposure:,.2f} before the order against a limit of {at.limit or ZERO:,.2f} {facts.rates.reporting},"
        f" {_percent(at.overdue / at.receivables if at.receivables > 0 else ZERO)} overdue,"
        f" cash expected on {expected_cash_date(facts)}"
    )
    return Reason(code="within_policy", words=words)


def _percent(share: Decimal) -> str:
    return f"{share * 100:.1f} %"


def _decision(facts: OrderToCash, outcome: str, reasons: tuple[Reason, ...], effects: tuple[Effect, ...] = ()) -> Decision:
    order = facts.order
    return Decision(
        rule=RULE,
        version=VERSION,
        subject_kind="order",
        subject_source=order.source,
        subject_key=order.key,
        region=order.region,
        legal_entity=order.legal_entity,
        outcome=outcome,
        inputs=to_inputs(facts),
        reasons=reasons,
        effects=effects,
        party_id=None if facts.party is None else facts.party.id,
        amount=order.net_value,
        currency=order.currency,
    )
