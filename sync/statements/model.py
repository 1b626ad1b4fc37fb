"""A statement as it stands in its file, in one form for every format: texts only, nothing is believed yet.

Readers hand what they find to a `Sink`, entry by entry, so that a statement of any length takes little memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal, NoReturn, Protocol

from sync.errors import DataError

Kind = Literal["statement", "report", "notification"]
"""A closed statement; a report within the day, whose entries a statement will repeat; a notification of entries without balances."""


@dataclass(slots=True)
class Balance:
    """A balance: its type in ISO 20022's codes (OPBD, PRCD, CLBD, CLAV, FWAV, ITBD ...; OPIM and CLIM at the edge of a page), amount
    and currency, direction CRDT or DBIT, and date (YYYY-MM-DD).
    """

    code: str
    amount: str
    currency: str
    direction: str
    date: str


@dataclass(slots=True)
class Declared:
    """What a file says of itself: so many entries of `direction` (None: all) and their sum, in the statement's currency."""

    direction: str | None
    count: str | None
    amount: str | None
    currency: str


@dataclass(slots=True)
class Total:
    """A check total that the reader itself has compared, as a file's record counts: `subject` names the record."""

    subject: str
    verdict: str
    currency: str | None = None
    declared_count: int | None = None
    computed_count: int | None = None
    declared_amount: Decimal | None = None
    computed_amount: Decimal | None = None

    @property
    def agree(self) -> bool:
        return self.declared_count == self.computed_count and self.declared_amount == self.computed_amount


@dataclass(slots=True)
class Detail:
    """One transaction of an entry. `reference`: what the bank calls it."""

    amount: str | None = None
    currency: str | None = None
    direction: str | None = None
    end_to_end_id: str | None = None
    reference: str | None = None
    debtor: str | None = None
    debtor_account: str | None = None
    creditor: str | None = None
    creditor_account: str | None = None
    remittance: str | None = None
    structured_reference: str | None = None
    return_reason: str | None = None
    counter_values: Sequence[tuple[str, str]] = ()
    """(amount, currency) of each of its amounts in whatever currency, the likeliest counter value first."""


@dataclass(slots=True)
class Entry:
    """One booked or expected line. `direction` (CRDT or DBIT) already says where the money went, also for a reversal.

    `reference` is unique at the bank; `number` is shown where there is none and means nothing outside the file.
    """

    amount: str
    currency: str
    direction: str
    status: str
    booking_date: str | None
    value_date: str | None
    reference: str | None
    bank_code: str | None
    is_reversal: bool = False
    number: str | None = None
    text: str | None = None
    """What the bank says of the entry as a whole; stands for the remittance where there are no details."""
    details: Sequence[Detail] = ()
    counter_value: tuple[str, str] | None = None
    """(amount, currency) in the account's currency, where the entry's own is another."""


@dataclass(slots=True)
class Statement:
    """The head of a statement. `created`: the bank's stamp, ISO 8601, or only a day (YYYY-MM-DD) where the format has no time.

    `sequence`: the running number of the account's statements; `page`: which part of a statement that came in parts.
    `elements`: the names of the elements met in it (in its first entries, where it has many), so that a change of format shows.
    """

    format: str
    kind: Kind = "statement"
    id: str = ""
    account: str = ""
    iban: str | None = None
    currency: str | None = None
    bank: str | None = None
    name: str | None = None
    sequence: str | None = None
    page: int | None = None
    created: str | None = None
    balances: list[Balance] = field(default_factory=list)
    declared: list[Declared] = field(default_factory=list)
    elements: set[str] = field(default_factory=set)

    @property
    def subject(self) -> str:
        """The statement in a person's words."""
        return f"{self.account or '?'} {self.id or '?'}"


class Sink(Protocol):
    """Where a reader puts what it finds: `begin`, then the entries, then `end`, for one statement after the other."""

    def begin(self, statement: Statement) -> None:
        """A statement begins; its head may be completed until `end`."""
        ...

    def entry(self, entry: Entry) -> None:
        """The next entry of the statement that was begun."""
        ...

    def end(self) -> None:
        """The statement is complete."""
        ...

    def total(self, total: Total) -> None:
        """A check total of the file."""
        ...


SHOWN = 500


def refuse(cause: str, words: str, statement: Statement | None = None, **evidence: object) -> NoReturn:
    """Raises the DataError that refuses the whole file, naming the statement. What a broken file has in place of a field may be as long as
    the file: words and evidence show the beginning of it.
    """
    words = words if len(words) <= SHOWN else f"{words[:SHOWN]} ..."
    evidence = {name: value[:SHOWN] if isinstance(value, str) else value for name, value in evidence.items()}
    if statement is None:
        raise DataError(words, cause=cause, evidence=evidence)
    name, account = statement.id[:SHOWN], statement.account[:SHOWN]
    about = {"statement": name, "account": account, "format": statement.format, **evidence}
    raise DataError(f"statement {name or '?'} of account {account or '?'}: {words}", cause=cause, evidence=about)
