"""The world's clockwork: an agenda of things to come, worked off in order of time, deterministic from the seed."""

from __future__ import annotations

import heapq
import random
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

from sandbox.world.model import (
    Account,
    BankLine,
    CashFlow,
    Contract,
    Customer,
    DropFile,
    ExpectedPayment,
    Invoice,
    Opportunity,
    Order,
    Payment,
    Write,
)
from sandbox.world.reference import BANK_ACCOUNTS, LEGAL_ENTITIES, rounded

Handler = Callable[..., None]
LIFE: dict[str, Handler] = {}
FAR = datetime.max.replace(tzinfo=UTC)


def happening(handler: Handler) -> Handler:
    """Registers a function of the world's life under its own name, so that the agenda can name it."""
    LIFE[handler.__name__] = handler
    return handler


@dataclass
class World:
    """Everything there is. `now` is world time, UTC; nothing in here reads a clock."""

    seed: int
    now: datetime
    live_from: datetime
    rng: random.Random
    rates: dict[str, dict[date, Decimal]]
    activation_every: timedelta = timedelta(hours=3.2)
    files_from: datetime = FAR
    agenda: list[tuple[datetime, int, str, tuple[object, ...]]] = field(default_factory=list)
    counters: dict[str, int] = field(default_factory=dict)
    customers: dict[str, Customer] = field(default_factory=dict)
    accounts: dict[str, Account] = field(default_factory=dict)
    opportunities: dict[str, Opportunity] = field(default_factory=dict)
    contracts: dict[str, Contract] = field(default_factory=dict)
    contract_numbers: dict[str, str] = field(default_factory=dict)
    orders: dict[str, Order] = field(default_factory=dict)
    invoices: dict[str, Invoice] = field(default_factory=dict)
    payments: dict[str, Payment] = field(default_factory=dict)
    bank_lines: dict[str, list[BankLine]] = field(default_factory=dict)
    closings: dict[str, dict[date, Decimal]] = field(default_factory=dict)
    statements: dict[str, int] = field(default_factory=dict)
    flows: dict[str, CashFlow] = field(default_factory=dict)
    expected: dict[str, ExpectedPayment] = field(default_factory=dict)
    awaiting: list[str] = field(default_factory=list)
    open_invoices: dict[str, set[str]] = field(default_factory=dict)
    by_entity: dict[str, list[str]] = field(default_factory=dict)
    legacy_touched: set[str] = field(default_factory=set)
    outbox: list[DropFile] = field(default_factory=list)
    last_files: dict[str, DropFile] = field(default_factory=dict)
    broken: dict[tuple[str, str, str], str] = field(default_factory=dict)
    writes: list[Write] = field(default_factory=list)
    write_index: dict[tuple[str, ...], int] = field(default_factory=dict)
    journal_seq: int = 0
    approvals: dict[str, str] = field(default_factory=dict)
    """Order -> its approval status: A in approval, B released, C rejected."""
    merged: dict[str, str] = field(default_factory=dict)
    """CRM account that is no more -> the one it was merged into."""
    certificates: dict[str, str] = field(default_factory=dict)
    """Integration user -> the certificate's public key (PEM) that the CRM's app holds for it."""
    touched: dict[str, datetime] = field(default_factory=dict)
    """Object of the second treasury platform -> when it was changed by hand: the rest of its life follows from the calendar."""
    told: list[dict[str, object]] = field(default_factory=list)
    """The last events that the second treasury platform has told of."""

    def count(self, name: str, start: int = 0) -> int:
        """The next number of a series that begins after `start`."""
        value = self.counters.get(name, start) + 1
        self.counters[name] = value
        return value

    def later(self, kind: str, *args: object, days: float = 0, at: datetime | None = None) -> None:
        """Puts a happening on the agenda, `days` from now or at a moment."""
        when = at if at is not None else self.now + timedelta(days=days)
        heapq.heappush(self.agenda, (when, self.count("agenda"), kind, args))

    def advance(self, until: datetime) -> int:
        """Lives up to `until` (world time); returns how many things happened."""
        happened = 0
        agenda = self.agenda
        while agenda and agenda[0][0] <= until:
            when, _, kind, args = heapq.heappop(agenda)
            self.now = max(self.now, when)
            LIFE[kind](self, *args)
            happened += 1
        self.now = max(self.now, until)
        return happened

    @property
    def live(self) -> bool:
        """Whether history has reached the moment at which the world was opened."""
        return self.now >= self.live_from

    def uuid(self, name: str) -> str:
        """A UUID that is the same for the same seed and order of things."""
        return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{self.seed}:{name}:{self.count('uuid')}"))

    def company_amount(self, amount: Decimal, currency: str, entity: str) -> Decimal:
        """`amount` in the entity's own currency at the reference rate of the day."""
        return self.convert(amount, currency, LEGAL_ENTITIES[entity].currency)

    def convert(self, amount: Decimal, currency: str, into: str) -> Decimal:
        """`amount` in another currency at the reference rates of the world's day."""
        if currency == into:
            return amount
        euros = amount if currency == "EUR" else amount / self.rate(currency)
        return rounded(euros if into == "EUR" else euros * self.rate(into), into)

    def rate(self, currency: str) -> Decimal:
        """Units of `currency` for one euro on the world's day, or on the last day known before it."""
        table = self.rates[currency]
        day = self.now.date()
        for _ in range(10):
            if day in table:
                return table[day]
            day -= timedelta(days=1)
        return table[max(table)]

    def book(self, line: BankLine) -> None:
        """Adds an entry to an account's book."""
        self.bank_lines.setdefault(line.account, []).append(line)

    def balance(self, account: str) -> Decimal:
        """The booked balance of an account now."""
        closed = self.closings.get(account)
        if not closed:
            return BANK_ACCOUNTS[account].opening + sum(line.amount for line in self.bank_lines.get(account, ()))
        day = max(closed)
        total = closed[day]
        for line in reversed(self.bank_lines.get(account, ())):
            if line.booked <= day:
                break
            total += line.amount
        return total

    def settle_open(self, invoice: Invoice) -> None:
        """Keeps the index of open invoices and credit notes per customer in step with one of them."""
        keys = self.open_invoices.setdefault(invoice.customer, set())
        if invoice.open:
            keys.add(invoice.number)
        else:
            keys.discard(invoice.number)
        if LEGAL_ENTITIES[invoice.entity].host == "legacy-latam":
            invoice.version += 1
            self.legacy_touched.add(invoice.number)


SALESFORCE_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def salesforce_id(prefix: str, number: int) -> str:
    """An 18-character record id: 15 case-sensitive characters and the three that make it safe to fold case."""
    tail = ""
    while number:
        number, digit = divmod(number, 62)
        tail = _BASE62[digit] + tail
    short = f"{prefix}5g00000{tail.rjust(15 - len(prefix) - 7, '0')}"
    suffix = "".join(SALESFORCE_ALPHABET[sum(1 << i for i, c in enumerate(short[at : at + 5]) if c.isupper())] for at in (0, 5, 10))
    return short + suffix


def bank_day(day: date) -> date:
    """`day` itself, or the Monday after it when it is a weekend."""
    return day + timedelta(days={5: 2, 6: 1}.get(day.weekday(), 0))


def at_hour(day: date, hours: float) -> datetime:
    """A moment of a day, UTC."""
    return datetime.combine(day, time(), UTC) + timedelta(hours=hours)
