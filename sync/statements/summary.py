"""What a camt statement says of its own entries (`TxsSummry`), held against them.

Banks leave it out, count the transactions of a batch instead of the entry, or leave out what is not booked yet: any of these agrees. Where
the balances prove the entries, a summary that differs is told and refuses nothing; where they do not, it is the only proof that there is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from db.money import MoneyInvalid, parse
from sync.statements.model import Statement, Total
from sync.statements.reckoning import Sums

_SIDES = {None: ("CRDT", "DBIT"), "CRDT": ("CRDT",), "DBIT": ("DBIT",)}
_DIGITS = 15
_NAMES = {None: "entries", "CRDT": "credits", "DBIT": "debits"}


@dataclass(frozen=True, slots=True)
class _Reading:
    """One way to count and to sum the entries."""

    amount: Decimal
    counts: tuple[int, int]


def summarised(at: int, statement: Statement, sums: Sums) -> Iterator[Total]:
    """A total for each line of the summary that can be read: against the way of counting that agrees, else against all entries."""
    for each in statement.declared:
        declared, count = _sum(each.amount), _count(each.count)
        if declared is None and count is None:
            continue
        ways = [_read(at, _SIDES[each.direction], sums, only_booked=only) for only in (False, True)]
        ways.sort(key=lambda way: declared not in (None, way.amount))
        fits = next((way for way in ways if declared in (None, way.amount) and (count is None or count in way.counts)), None)
        shown = fits or ways[0]
        yield Total(
            f"{_NAMES[each.direction]} of {statement.subject} (TxsSummry)",
            "totals",
            declared_count=count,
            computed_count=None if count is None else count if fits else shown.counts[0],
            declared_amount=declared,
            computed_amount=None if declared is None else shown.amount,
        )


def _sum(text: str | None) -> Decimal | None:
    try:
        return None if text is None else parse(text.lstrip("+"))
    except MoneyInvalid:
        return None


def _count(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) <= _DIGITS else None


def _read(at: int, sides: tuple[str, ...], sums: Sums, *, only_booked: bool) -> _Reading:
    told = [sums.told.get((at, side, booked)) for side in sides for booked in ((True,) if only_booked else (True, False))]
    found = [each for each in told if each is not None]
    return _Reading(sum((each[0] for each in found), Decimal(0)), (sum(each[1] for each in found), sum(each[2] for each in found)))
