"""Does a statement balance, and does it follow the last one? Two verdicts beside "it parses", each with its arithmetic."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from db.money import currencies, decimals, exponent
from sync.ports import ControlTotal

OPENING = ("OPBD", "PRCD", "OPIM")
CLOSING = ("CLBD", "CLIM")
SPAN = "span"
DAYS = "days"
"""In the evidence of a refused file: `account day` of each of its statements, as their spans would be called, where all can be told."""
Chain = Mapping[str, Mapping[str, str]]
"""Account (and its currency, where that is not the account's own) -> its newest closing balance, as JSON-able text: part of a cursor."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A statement's figures in one currency, exact and signed (credit +). `counter`: the part of `booked` that is the counter value of
    entries in other currencies; `foreign`: how many entries in other currencies have none.
    """

    currency: str
    opening: Decimal | None
    opening_date: date | None
    closing: Decimal | None
    closing_date: date | None
    booked: Decimal
    booked_count: int
    counter: Decimal = Decimal(0)
    foreign: int = 0

    @property
    def computed(self) -> Decimal | None:
        return None if self.opening is None else self.opening + self.booked


@dataclass(frozen=True, slots=True)
class Reckoned:
    """A statement's own figures: `pairs` by currency, the account's own first."""

    account: str
    statement: str
    subject: str
    currency: str
    is_final: bool
    """Whether it closes a day: a report within the day neither balances nor chains."""
    sequence: int | None
    page: int | None
    closing_date: date | None
    entries: int
    pending: int
    pairs: tuple[Pair, ...]


def balances(reckoned: Reckoned) -> Iterator[ControlTotal]:
    """Opening + booked entries = closing, for each currency that declares such a pair of balances."""
    for pair in reckoned.pairs if reckoned.is_final else ():
        if pair.computed is None or pair.closing is None:
            continue
        yield ControlTotal(
            subject=reckoned.subject,
            verdict="balances",
            agree=pair.computed == pair.closing,
            currency=pair.currency,
            computed_count=pair.booked_count,
            declared_amount=pair.closing,
            computed_amount=pair.computed,
        )


def arithmetic(pair: Pair) -> dict[str, object]:
    """The evidence of a statement that does not balance."""
    computed = pair.computed or Decimal(0)
    found: dict[str, object] = {
        "opening": plain(pair.opening, pair.currency),
        "booked": plain(pair.booked, pair.currency),
        "entries": pair.booked_count,
        "computed": plain(computed, pair.currency),
        "declared": plain(pair.closing, pair.currency),
        "off_by": plain((pair.closing or Decimal(0)) - computed, pair.currency),
        "currency": pair.currency,
    }
    if pair.counter:
        found["counter_values"] = plain(pair.counter, pair.currency)
    if pair.foreign:
        found["entries_in_other_currencies_without_counter_value"] = pair.foreign
    return found


@dataclass(frozen=True, slots=True)
class Link:
    """A statement held against the last one of its account: `total` is the verdict (`chains` or `sequence`), `last` what it has to follow."""

    total: ControlTotal
    last: Mapping[str, str]


def chains(reckoned: Reckoned, chain: Chain, *, sequences: bool = True) -> Iterator[Link]:
    """The opening balance is the account's last closing balance; and, where both have a number, no number is missing between them.

    Nothing where there is nothing to follow. An older statement that comes late follows nothing, nor does the same one again.
    """
    for pair in reckoned.pairs if reckoned.is_final else ():
        last = chain.get(_key(reckoned, pair))
        if last is None or pair.opening is None or not _is_newer(reckoned, pair, last):
            continue
        declared = Decimal(last["closing"])
        agrees = declared == pair.opening
        total = ControlTotal(
            reckoned.subject, "chains", agrees, currency=pair.currency, declared_amount=declared, computed_amount=pair.opening
        )
        yield Link(total, last)
        expected = _expected(reckoned, last)
        if sequences and pair is reckoned.pairs[0] and expected is not None and reckoned.sequence is not None:
            gap = reckoned.sequence > expected
            wanted = expected if gap else reckoned.sequence
            numbered = ControlTotal(reckoned.subject, "sequence", not gap, declared_count=wanted, computed_count=reckoned.sequence)
            yield Link(numbered, last)


def spans(reckoned: Reckoned) -> Iterator[ControlTotal]:
    """From which balance to which a closed statement goes, and its number: what a gap between two others is later closed by. The subject
    is the account and the closing date.
    """
    for pair in reckoned.pairs if reckoned.is_final else ():
        if pair.opening is not None and pair.closing is not None and pair.closing_date is not None:
            yield ControlTotal(
                subject=f"{reckoned.account} {pair.closing_date}",
                verdict=SPAN,
                agree=True,
                currency=pair.currency,
                declared_count=reckoned.sequence,
                declared_amount=pair.opening,
                computed_amount=pair.closing,
            )


def followed(chain: Chain, statements: Iterable[Reckoned]) -> dict[str, Mapping[str, str]]:
    """The chain after these statements: per account the newest closing balance."""
    moved = dict(chain)
    for reckoned in statements:
        for pair in reckoned.pairs if reckoned.is_final else ():
            if pair.closing is None or pair.closing_date is None:
                continue
            known = moved.get(_key(reckoned, pair))
            if known is None or pair.closing_date.isoformat() == known["date"] or _is_newer(reckoned, pair, known):
                moved[_key(reckoned, pair)] = _closing(reckoned, pair)
    return moved


def in_order(statements: Sequence[Reckoned]) -> list[Reckoned]:
    """As an account's days follow one another, whatever their order in the file."""
    return sorted(statements, key=lambda one: (one.closing_date or date.min, one.sequence or 0, one.page or 0))


def _key(reckoned: Reckoned, pair: Pair) -> str:
    return reckoned.account if pair is reckoned.pairs[0] else f"{reckoned.account} {pair.currency}"


def _closing(reckoned: Reckoned, pair: Pair) -> dict[str, str]:
    found = {"closing": plain(pair.closing, pair.currency), "date": str(pair.closing_date), "statement": reckoned.statement}
    if reckoned.sequence is not None:
        found["sequence"] = str(reckoned.sequence)
    if reckoned.page is not None:
        found["page"] = str(reckoned.page)
    return found


def _is_newer(reckoned: Reckoned, pair: Pair, last: Mapping[str, str]) -> bool:
    if pair.closing_date is None:
        return False
    if pair.closing_date.isoformat() != last["date"]:
        return pair.closing_date.isoformat() > last["date"]
    if reckoned.sequence is None or "sequence" not in last:
        return False
    return (reckoned.sequence, reckoned.page or 0) > (int(last["sequence"]), int(last.get("page", 0)))


def _expected(reckoned: Reckoned, last: Mapping[str, str]) -> int | None:
    """The number that this statement should have; None where a number says nothing."""
    if "sequence" not in last or reckoned.sequence is None:
        return None
    before = int(last["sequence"])
    if reckoned.sequence == before and (reckoned.page or 1) > int(last.get("page", 1)):
        return before
    if reckoned.sequence <= before:
        return reckoned.sequence  # a new year, or a bank that counts anew: no number is known to be missing
    return before + 1


def plain(amount: Decimal | None, currency: str | None) -> str:
    """All digits that count, and as many decimals as the currency has; `none` where there is no amount."""
    if amount is None:
        return "none"
    places = exponent(currency) if currency in currencies() and currency is not None else 0
    return f"{amount:.{max(places, decimals(amount))}f}"
