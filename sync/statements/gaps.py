"""Whether what was missing between two statements has come: told by the statements that were read since. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Self

LONGEST = 400
"""More numbers than this are no gap, but a bank that counts otherwise."""


@dataclass(frozen=True, slots=True)
class Span:
    """A closed statement: from which balance to which it goes, the day it closes, and its number."""

    date: date
    opening: Decimal
    closing: Decimal
    sequence: int | None


@dataclass(frozen=True, slots=True)
class Gap:
    """What is open between two statements of an account: balances that do not meet, or numbers that are missing."""

    account: str
    currency: str
    since: date
    closing: Decimal
    until: date
    opening: Decimal | None
    numbers: frozenset[int]

    @classmethod
    def of(cls, evidence: Mapping[str, Any]) -> Self | None:
        """The gap as the exception's evidence tells of it; None where it does not say enough."""
        try:
            last = evidence["last"]
            opening = evidence.get("opening")
            first, after = evidence.get("expected"), evidence.get("sequence")
            numbers = range(int(first), int(after)) if first is not None and after is not None else range(0)
            gap = cls(
                account=str(evidence["account"]),
                currency=str(evidence["currency"]),
                since=date.fromisoformat(last["date"]),
                closing=Decimal(last["closing"]),
                until=date.fromisoformat(evidence["date"]),
                opening=None if opening is None else Decimal(opening),
                numbers=frozenset(numbers) if len(numbers) <= LONGEST else frozenset(),
            )
        except (KeyError, TypeError, ValueError, ArithmeticError):
            return None
        return gap if gap.opening is not None or gap.numbers else None

    def is_filled(self, spans: Sequence[Span]) -> bool:
        """Whether the statements lead from the one side to the other, each opening with what one before closed with; or whether every
        missing number has come. The statement on either side may itself have come again, corrected.
        """
        within = [span for span in spans if self.since <= span.date <= self.until]
        if self.opening is None:
            return self.numbers <= {span.sequence for span in within}
        reached = {self.closing, *(span.closing for span in within if span.date == self.since)}
        found = True
        while found:
            found = False
            for span in within:
                if span.opening in reached and span.closing not in reached:
                    reached.add(span.closing)
                    found = True
        return self.opening in reached or any(span.date == self.until and span.opening in reached for span in within)
