"""Accounting items are pulled so that every page can be understood alone: whole payment documents, the bills that they name,
and what has been paid on cleared bills so far. The cube's stamps are days, so each pull reads the last days again, and now and
then everything; what has not changed since it was last delivered is left out.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from sync.ports import Cursor, Page
from sync.systems.sap_s4.client import Session
from sync.systems.sap_s4.items import Beside, document
from sync.systems.sap_s4.odata import text
from sync.systems.sap_s4.reading import Reader
from sync.systems.sap_s4.settings import Settings
from sync.systems.sap_s4.walk import Query, Record
from sync.systems.sap_s4.wire import ITEMS

ORDER = "CompanyCode,FiscalYear,AccountingDocument,AccountingDocumentItem"
CUSTOMER_ITEMS = "FinancialAccountType eq 'D'"
REMEMBERED_MAX = 300_000
"""Items whose digests one connection's memory holds; beyond that only the last pull's."""


class Line(msgspec.Struct):
    """What the source itself has to know of an item; mapping reads the rest."""

    CompanyCode: str = ""
    FiscalYear: str = ""
    AccountingDocument: str = ""
    AccountingDocumentItem: str = ""
    AccountingDocumentType: str | None = None
    SpecialGLCode: str | None = None
    BillingDocument: str | None = None
    InvoiceReference: str | None = None
    InvoiceReferenceFiscalYear: str | None = None
    AmountInTransactionCurrency: str | None = None
    DebitCreditCode: str | None = None
    IsReversed: bool | None = None
    IsReversal: bool | None = None
    ClearingDate: str | None = None
    IsCleared: bool | None = None

    @property
    def doc(self) -> str:
        """The accounting document that the item is part of."""
        return document(self.CompanyCode, self.FiscalYear, self.AccountingDocument)

    @property
    def names(self) -> str | None:
        """The accounting document that the item names, if it names one."""
        if not self.InvoiceReference:
            return None
        return document(self.CompanyCode, self.InvoiceReferenceFiscalYear or self.FiscalYear, self.InvoiceReference)

    @property
    def pays(self) -> Decimal:
        """What a payment's item pays of the document it names; nothing once it was reversed."""
        if self.BillingDocument or self.SpecialGLCode or self.IsReversed or self.IsReversal or self.names is None:
            return Decimal(0)
        try:
            amount = Decimal(self.AmountInTransactionCurrency or "0")
        except InvalidOperation:
            return Decimal(0)
        signed = {"H": -abs(amount), "S": abs(amount)}.get(self.DebitCreditCode or "", amount)
        return -signed


@dataclass
class Items:
    """Items by their key, as bytes and as lines; items whose key can't be read stand for themselves."""

    raw: dict[str, bytes] = field(default_factory=dict)
    lines: dict[str, Line] = field(default_factory=dict)

    def add(self, records: Iterable[msgspec.Raw | bytes]) -> list[str]:
        """Takes items in; returns their keys."""
        keys = []
        for record in records:
            body = bytes(record)
            try:
                line = msgspec.json.decode(body, type=Line)
                whole = line.CompanyCode and line.AccountingDocument and line.AccountingDocumentItem
            except (msgspec.DecodeError, UnicodeDecodeError):
                line, whole = Line(), ""
            key = f"{line.doc}/{line.AccountingDocumentItem}" if whole else f"?{hashlib.sha256(body).hexdigest()}"
            self.raw[key], self.lines[key] = body, line
            keys.append(key)
        return keys

    def of(self, docs: set[str]) -> list[str]:
        """The keys of the items of some documents."""
        return [key for key, line in self.lines.items() if line.doc in docs]


@dataclass
class _Memory:
    """What this process has delivered: digests by company and key, true while the cursor is the one that it gave last."""

    mark: str = ""
    digests: dict[str, dict[str, bytes]] = field(default_factory=dict)


_MEMORIES: dict[tuple[str, str], _Memory] = {}
_LOCK = threading.Lock()


class Ledger:
    """The stream of accounting items of one connection."""

    def __init__(self, connection: str, settings: Settings, session: Session) -> None:
        self._settings = settings
        self._session = session
        self._reader = Reader(session)
        self._zone = ZoneInfo(settings.zone)
        with _LOCK:
            self._memory = _MEMORIES.setdefault((connection, settings.base_url), _Memory())

    def pages(self, cursor: Cursor | None, *, now: datetime) -> Iterator[Page]:
        """The pages of one pull. Only the last moves the cursor: until then a new pull begins at the same day."""
        full_at = datetime.fromisoformat(cursor["full_at"]) if cursor else None
        full = full_at is None or not now - timedelta(hours=self._settings.full_hours) < full_at <= now
        since = None if full or cursor is None else self._since(cursor, now)
        known = self._memory.digests if cursor is not None and cursor.get("mark") == self._memory.mark else {}
        seen: dict[str, dict[str, bytes]] = {}
        held: Page | None = None
        for company in self._settings.company_codes or (None,):
            items = self._read(company, since)
            digests = {key: hashlib.blake2b(body, digest_size=12).digest() for key, body in items.raw.items()}
            before = known.get(company or "", {})
            seen[company or ""] = {**before, **digests} if len(before) + len(digests) <= REMEMBERED_MAX else digests
            changed = [key for key, digest in digests.items() if before.get(key) != digest]
            for body in self._bodies(items, changed, all_held=since is None, first=cursor is None):
                if held is not None:
                    yield held
                held = self._page(body, now)
        mark = secrets.token_hex(8)
        at = now if full or full_at is None else full_at
        moved = {"since": now.astimezone(UTC).isoformat(), "full_at": at.astimezone(UTC).isoformat(), "mark": mark}
        last = held or self._page(_body([], Beside({}, {}, whole=False)), now)
        yield Page(last.body, last.content_type, moved, name=last.name, headers=last.headers, complete_until=now)
        # Only a caller who comes back with this cursor has committed what it was given.
        self._memory.mark, self._memory.digests = mark, seen

    def _since(self, cursor: Cursor, now: datetime) -> date:
        reached = min(datetime.fromisoformat(cursor["since"]), now)
        return reached.astimezone(self._zone).date() - timedelta(days=self._settings.look_back_days)

    def _read(self, company: str | None, since: date | None) -> Items:
        """The customers' items of a company: all, or those changed or cleared since a day."""
        where = [CUSTOMER_ITEMS]
        if company is not None:
            where.append(f"CompanyCode eq {text(company)}")
        if since is not None:
            day = self._session.dialect(ITEMS).midnight(since)
            where.append(f"(LastChangeDate ge {day} or ClearingCreationDate ge {day} or AccountingDocumentCreationDate ge {day})")
        elif self._settings.from_fiscal_year is not None:
            where.append(f"FiscalYear ge '{self._settings.from_fiscal_year}'")
        items = Items()
        for got in self._reader.read(Query(ITEMS, ORDER, _position, " and ".join(where))):
            items.add(got.split.records)
        return items

    def _bodies(self, items: Items, changed: Sequence[str], *, all_held: bool, first: bool) -> Iterator[bytes]:
        """Pages of the changed items with all that belongs to them, cut between documents. `all_held`: everything was read."""
        if not changed:
            return
        delivered = self._completed(items, changed, all_held=all_held)
        paid = _paid(items, self._settings) if all_held else self._looked_up(items, delivered)
        invoices = {line.doc: line.BillingDocument for line in items.lines.values() if line.BillingDocument}
        page: list[str] = []
        for key in sorted(set(delivered)):
            line = items.lines[key]
            if page and line.doc != items.lines[page[-1]].doc and len(page) >= self._settings.page_size:
                yield _assembled(items, page, invoices, paid, whole=first)
                page = []
            page.append(key)
        if page:
            yield _assembled(items, page, invoices, paid, whole=first)

    def _completed(self, items: Items, changed: Sequence[str], *, all_held: bool) -> list[str]:
        """The changed items, the rest of their payment documents, and the bills that these name: they may be settled anew."""
        payments = {items.lines[key].doc for key in changed if not items.lines[key].BillingDocument and items.lines[key].AccountingDocument}
        if not all_held:
            self._fetch(items, payments)
        parts = items.of(payments)
        bills = {doc for doc in (items.lines[key].names for key in parts) if doc is not None}
        # Even when everything was read a bill may be of a year before the first one asked for.
        self._fetch(items, bills - {line.doc for line in items.lines.values()})
        return list(dict.fromkeys([*changed, *parts, *(key for key in items.of(bills) if items.lines[key].BillingDocument)]))

    def _looked_up(self, items: Items, delivered: Sequence[str]) -> dict[str, Decimal]:
        """What payments have paid on the cleared bills among the delivered items."""
        bills = {
            items.lines[key].doc
            for key in delivered
            if items.lines[key].BillingDocument and (items.lines[key].IsCleared or items.lines[key].ClearingDate)
        }
        found = Items()
        for got in self._reader.find(ITEMS, [_naming(doc) for doc in sorted(bills)]):
            found.add(got.split.records)
        return _paid(found, self._settings)

    def _fetch(self, items: Items, docs: set[str]) -> None:
        for got in self._reader.find(ITEMS, [_being(doc) for doc in sorted(docs)]):
            items.add(got.split.records)

    def _page(self, body: bytes, now: datetime) -> Page:
        return Page(body, "application/json", None, name=ITEMS.path, headers={"received_at": now.astimezone(UTC).isoformat()})


def _position(last: Record) -> str | None:
    """Goes on at the last item's document."""
    keys = ("CompanyCode", "FiscalYear", "AccountingDocument")
    if not all(isinstance(last.get(key), str) and last[key] for key in keys):
        return None
    company, year, number = (text(last[key]) for key in keys)
    same_year = f"FiscalYear eq {year} and AccountingDocument ge {number}"
    return f"CompanyCode gt {company} or (CompanyCode eq {company} and (FiscalYear gt {year} or ({same_year})))"


def _being(doc: str) -> str:
    company, year, number = (text(part) for part in doc.split("/"))
    return f"(CompanyCode eq {company} and FiscalYear eq {year} and AccountingDocument eq {number} and {CUSTOMER_ITEMS})"


def _naming(doc: str) -> str:
    company, year, number = (text(part) for part in doc.split("/"))
    same = f"InvoiceReferenceFiscalYear eq {year} or InvoiceReferenceFiscalYear eq ''"
    return f"(CompanyCode eq {company} and InvoiceReference eq {number} and ({same}) and {CUSTOMER_ITEMS})"


def _paid(items: Items, settings: Settings) -> dict[str, Decimal]:
    """Accounting document -> what the items that name it pay of it."""
    found: dict[str, Decimal] = {}
    for line in items.lines.values():
        money = line.AccountingDocumentType is None or line.AccountingDocumentType in settings.payment_types
        if money and line.pays and line.names is not None:
            found[line.names] = found.get(line.names, Decimal(0)) + line.pays
    return found


def _assembled(items: Items, keys: Sequence[str], invoices: dict[str, str], paid: dict[str, Decimal], *, whole: bool) -> bytes:
    """One page with what its items need from beside it, and no more."""
    lines = [items.lines[key] for key in keys]
    named = {line.names for line in lines if line.names is not None}
    docs = {line.doc for line in lines}
    beside = Beside(
        {doc: invoices[doc] for doc in sorted(named) if doc in invoices},
        {doc: format(paid[doc], "f") for doc in sorted(docs) if doc in paid},
        whole=whole,
    )
    return _body([items.raw[key] for key in keys], beside)


def _body(records: Sequence[bytes], beside: Any) -> bytes:
    return b'{"items":[' + b",".join(records) + b'],"beside":' + msgspec.json.encode(beside) + b"}"
