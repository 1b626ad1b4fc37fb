"""Does a statement balance, and does it follow the last one? Two verdicts beside "it parses", each with its arithmetic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from sync.ports import ControlTotal

OPENING = ("OPBD", "PRCD")
CLOSING = ("CLBD",)


@dataclass(frozen=True, slots=True)
class Reckoned:
    """A statement's own figures, exact and signed (credit +): balances by code, and the sum and number of its booked entries."""

    account: str
    currency: str
    statement: str
    sequence: str | None
    opening: Decimal | None
    opening_date: date | None
    closing: Decimal | None
    closing_date: date | None
    booked: Decimal
    booked_count: int


def balances(reckoned: Reckoned) -> ControlTotal | None:
    """Opening + booked entries = closing; None when the statement declares no such pair of balances."""
    if reckoned.opening is None or reckoned.closing is None:
        return None
    computed = reckoned.opening + reckoned.booked
    return ControlTotal(
        subject=f"{reckoned.account} {reckoned.statement}",
        verdict="balances",
        agree=computed == reckoned.closing,
        currency=reckoned.currency,
        computed_count=reckoned.booked_count,
        declared_amount=reckoned.closing,
        computed_amount=computed,
    )


def chains(reckoned: Reckoned, last: Mapping[str, str] | None) -> ControlTotal | None:
    """The opening balance is the last closing balance of the account; None where there is nothing to follow.

    `last` is what `closing_of` kept of the account's newest statement before. An older statement that comes late follows nothing.
    """
    if last is None or reckoned.opening is None or reckoned.closing_date is None:
        return None
    if reckoned.closing_date.isoformat() <= last["date"]:
        return None
    declared = Decimal(last["closing"])
    return ControlTotal(
        subject=f"{reckoned.account} {reckoned.statement}",
        verdict="chains",
        agree=declared == reckoned.opening,
        currency=reckoned.currency,
        declared_amount=declared,
        computed_amount=reckoned.opening,
    )


def closing_of(reckoned: Reckoned) -> dict[str, str] | None:
    """What the next statement of this account has to follow: JSON-able."""
    if reckoned.closing is None or reckoned.closing_date is None:
        return None
    return {"closing": str(reckoned.closing), "date": reckoned.closing_date.isoformat(), "statement": reckoned.statement}


def newest(chain: Mapping[str, Mapping[str, str]], statements: Sequence[Reckoned]) -> dict[str, Mapping[str, str]]:
    """The chain after these statements: per account the newest closing balance."""
    moved = dict(chain)
    for reckoned in statements:
        closing = closing_of(reckoned)
        known = moved.get(reckoned.account)
        if closing is not None and (known is None or closing["date"] >= known["date"]):
            moved[reckoned.account] = closing
    return moved
