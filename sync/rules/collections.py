"""After the invoice: what account teams should know of a customer's debts, and what treasury should expect of each invoice."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal

from sync.rules.facts import ZERO, Decision, Effect, Fact, Party, Rates, Reason, Terms, to_inputs
from sync.rules.treasury import Flow, Published, adjust

RULE = "collections"
VERSION = "1"

# The level grows with the age of the oldest debt; a large sum moves it up by one.
_LEVELS = ((0, "current"), (1, "reminder"), (16, "first dunning"), (31, "second dunning"), (61, "escalated"))
LARGE_SHARE = Decimal("0.5")
"""Above this share of receivables overdue, the level is one higher."""


class OpenInvoice(Fact, frozen=True, kw_only=True):
    """An invoice and what is still open of it."""

    source: str
    key: str
    number: str
    open_amount: Decimal
    currency: str
    issue_date: date
    due_date: date | None = None
    order_subject: str | None = None
    order_rest: Decimal | None = None
    legal_entity: str | None = None
    is_new: bool = False


class Told(Fact, frozen=True, kw_only=True):
    """What the CRM was last told about a customer."""

    status: str
    overdue_amount: Decimal
    currency: str
    version: int


class Collections(Fact, frozen=True, kw_only=True):
    """A customer whose invoices moved. `account_number`: its number as the CRM's external id; None when the CRM does not have it."""

    now: datetime
    terms: Terms
    rates: Rates
    party: Party
    account_number: str | None = None
    told: Told | None = None
    invoices: tuple[OpenInvoice, ...] = ()
    published: tuple[Published, ...] = ()


def level(days_overdue: int, overdue: Decimal, receivables: Decimal) -> str:
    """The collection level in words: by the age of the oldest debt in days, one higher when most of what is owed is overdue."""
    if days_overdue <= 0 or overdue <= 0:
        return _LEVELS[0][1]
    step = max(index for index, (days, _) in enumerate(_LEVELS) if days_overdue >= days)
    if receivables > 0 and overdue / receivables > LARGE_SHARE:
        step += 1
    return _LEVELS[min(step, len(_LEVELS) - 1)][1]


def decide(facts: Collections) -> Decision:
    """Outcome "updated" with the effects that bring CRM and treasury up to date, or "unchanged" when they are."""
    sums = [(s.kind, facts.rates.convert(s.amount, s.currency)) for s in facts.party.sums if s.kind in ("overdue", "open_receivables")]
    unconverted = any(amount is None for _, amount in sums)
    overdue = sum((amount for kind, amount in sums if kind == "overdue" and amount is not None), ZERO).quantize(Decimal("0.01"))
    owed = sum((amount for kind, amount in sums if kind == "open_receivables" and amount is not None), ZERO)
    status = level(facts.party.oldest_days_overdue, overdue, owed)
    effects: list[Effect] = []
    if not unconverted:
        effects += _account(facts, status, overdue)
    effects += _forecasts(facts)
    words = f"{facts.party.name}: {status}, {overdue:,.2f} {facts.rates.reporting} overdue, oldest {facts.party.oldest_days_overdue} days"
    return Decision(
        rule=RULE,
        version=VERSION,
        subject_kind="customer",
        subject_source="tidegate",
        subject_key=str(facts.party.id),
        region=facts.party.region,
        outcome="updated" if effects else "unchanged",
        inputs=to_inputs(facts),
        reasons=(Reason(code="no_rate", words=words) if unconverted else Reason(code=status.replace(" ", "_"), words=words),),
        effects=tuple(effects),
        party_id=facts.party.id,
        amount=overdue,
        currency=facts.rates.reporting,
    )


def _account(facts: Collections, status: str, overdue: Decimal) -> list[Effect]:
    number, told = facts.account_number, facts.told
    if number is None:
        return []
    if told is not None and (told.status, told.overdue_amount, told.currency) == (status, overdue, facts.rates.reporting):
        return []
    # Grows with every word we send, also across a loss of the ledger: the CRM keeps the highest it has seen.
    version = max(0 if told is None else told.version + 1, int(facts.now.timestamp()))
    payload = {
        "customer_number": number,
        "status": status,
        "overdue_amount": str(overdue),
        "currency": facts.rates.reporting,
        "as_of": facts.now.isoformat(),
        "version": version,
    }
    return [Effect(kind="update_collections", object_key=number, subject=number, version=str(version), payload=payload)]


def _forecasts(facts: Collections) -> list[Effect]:
    """An invoice takes the place of its order in treasury's forecast; a payment takes it out. History never announced is left alone."""
    known = {flow.subject for flow in facts.published}
    effects: list[Effect] = []
    for invoice in facts.invoices:
        subject = f"invoice:{invoice.source}:{invoice.key}"
        if not invoice.is_new and subject not in known:
            continue
        flow = Flow(
            subject=subject,
            amount=max(invoice.open_amount, ZERO),
            currency=invoice.currency,
            expected_date=_said(facts.published, subject) or _expected(facts, invoice),
            company=invoice.legal_entity,
            description=f"Invoice {invoice.number}, {facts.party.name}",
        )
        effects += adjust(facts.published, flow)
        if invoice.order_subject in known and invoice.order_rest is not None:
            effects += _order(facts, invoice)
    return effects


def _order(facts: Collections, invoice: OpenInvoice) -> tuple[Effect, ...]:
    day = _said(facts.published, invoice.order_subject or "")
    currency = next((flow.currency for flow in facts.published if flow.subject == invoice.order_subject), invoice.currency)
    flow = Flow(
        subject=invoice.order_subject or "",
        amount=max(invoice.order_rest or ZERO, ZERO),
        currency=currency,
        expected_date=day or facts.now.date(),
        company=invoice.legal_entity,
        description=f"Order of invoice {invoice.number}, {facts.party.name}",
    )
    return adjust(facts.published, flow)


def _said(published: tuple[Published, ...], subject: str) -> date | None:
    """The day on which treasury expects the subject's cash; the day stays, so that a payment only takes its amount out."""
    days = [flow.expected_date for flow in published if flow.subject == subject]
    return days[-1] if days else None


def _expected(facts: Collections, invoice: OpenInvoice) -> date:
    terms = facts.terms.default_terms_days if facts.party.terms_days is None else facts.party.terms_days
    due = invoice.due_date or invoice.issue_date + timedelta(days=terms)
    return max(due + timedelta(days=max(facts.party.median_days_late or 0, 0)), facts.now.date())
