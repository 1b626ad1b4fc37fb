"""Which invoice a bank line pays: by rule where the references say so, by hand where they do not."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal

from sync.rules.facts import ZERO, Decision, Fact, Reason, to_inputs

RULE = "reconciliation"
VERSION = "1"
_WORD = re.compile(r"[A-Z0-9][A-Z0-9/_-]*", re.IGNORECASE)


class BankLine(Fact, frozen=True, kw_only=True):
    """A credit on a bank account, or the payment made of it."""

    source: str
    key: str
    region: str
    amount: Decimal
    currency: str
    legal_entity: str | None = None
    structured_reference: str | None = None
    remittance: str | None = None
    end_to_end_id: str | None = None


class Candidate(Fact, frozen=True, kw_only=True):
    """An invoice that could be meant."""

    source: str
    key: str
    number: str
    open_amount: Decimal
    currency: str
    payment_reference: str | None = None


class Reconciliation(Fact, frozen=True, kw_only=True):
    """One line and the invoices whose references it names."""

    line: BankLine
    candidates: tuple[Candidate, ...] = ()


def references(line: BankLine) -> frozenset[str]:
    """Every word of the line that could be an invoice's number or payment reference, in upper case."""
    text = " ".join(part for part in (line.structured_reference, line.remittance, line.end_to_end_id) if part)
    return frozenset(word.upper() for word in _WORD.findall(text) if any(sign.isdigit() for sign in word))


def decide(facts: Reconciliation) -> Decision:
    """Outcome matched (the named invoices add up), partial (named, but the sums differ) or hand (nothing certain is named)."""
    line = facts.line
    words = references(line)
    named = [c for c in facts.candidates if c.currency == line.currency and _named(c, words)]
    total = sum((candidate.open_amount for candidate in named), ZERO)
    if not named:
        outcome, reason = "hand", Reason(code="no_reference", words=f"{line.amount:,.2f} {line.currency} names no open invoice")
    elif total == line.amount:
        numbers = ", ".join(candidate.number for candidate in named)
        outcome, reason = "matched", Reason(code="reference", words=f"pays {numbers} in full")
    else:
        words_ = f"{line.amount:,.2f} against {total:,.2f} {line.currency} open on {', '.join(c.number for c in named)}"
        outcome, reason = "partial", Reason(code="amount_differs", words=words_)
    return Decision(
        rule=RULE,
        version=VERSION,
        subject_kind="payment",
        subject_source=line.source,
        subject_key=line.key,
        region=line.region,
        legal_entity=line.legal_entity,
        outcome=outcome,
        inputs=to_inputs(facts),
        reasons=(reason,),
        amount=line.amount,
        currency=line.currency,
    )


def _named(candidate: Candidate, words: frozenset[str]) -> bool:
    wanted = {candidate.number.upper(), candidate.number.lstrip("0").upper(), (candidate.payment_reference or "").upper()}
    return bool((wanted - {""}) & words)


def by_hand(decisions: Sequence[Decision]) -> list[Decision]:
    """Those of `decisions` that need a person."""
    return [decision for decision in decisions if decision.outcome != "matched"]
