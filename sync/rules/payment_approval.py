"""Which payments of ours may leave: within the threshold by themselves, above it with a second person, never by who asked."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from sync.rules.facts import Decision, Fact, Rates, Reason, to_inputs

RULE = "payment_approval"
VERSION = "1"


class OutgoingPayment(Fact, frozen=True, kw_only=True):
    """A payment that somebody asked for. `approvers`: who has agreed so far."""

    source: str
    key: str
    region: str
    payee: str
    amount: Decimal
    currency: str
    requester: str
    approvers: tuple[str, ...] = ()
    due_date: date | None = None
    legal_entity: str | None = None


class Threshold(Fact, frozen=True, kw_only=True):
    """From `above` (reporting currency) on, `approvals` different people other than the requester must agree."""

    above: Decimal
    approvals: int


class PaymentApproval(Fact, frozen=True, kw_only=True):
    payment: OutgoingPayment
    thresholds: tuple[Threshold, ...]
    rates: Rates


def decide(facts: PaymentApproval) -> Decision:
    """Outcome approve, or hold with how many people are missing. Without a rate nothing is approved."""
    payment = facts.payment
    value = facts.rates.convert(payment.amount, payment.currency)
    if value is None:
        outcome, reason = "hold", Reason(code="no_rate", words=f"there is no exchange rate for {payment.currency}")
    else:
        needed = max((entry.approvals for entry in facts.thresholds if value > entry.above), default=0)
        agreed = len(set(payment.approvers) - {payment.requester})
        missing = needed - agreed
        money = f"{value:,.2f} {facts.rates.reporting} to {payment.payee}"
        if missing > 0:
            outcome, reason = "hold", Reason(code="approvals_missing", words=f"{money} needs {missing} more approval(s) of {needed}")
        else:
            outcome, reason = "approve", Reason(code="approved", words=f"{money}: {agreed} of {needed} approvals")
    return Decision(
        rule=RULE,
        version=VERSION,
        subject_kind="outgoing_payment",
        subject_source=payment.source,
        subject_key=payment.key,
        region=payment.region,
        legal_entity=payment.legal_entity,
        outcome=outcome,
        inputs=to_inputs(facts),
        reasons=(reason,),
        amount=payment.amount,
        currency=payment.currency,
    )
