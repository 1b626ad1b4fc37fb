"""Accounting items are pulled so that every page can be understood alone: whole payment documents, the bills that they name,
and what has been paid on cleared bills so far. The cube's stamps are days, so each pull reads the last days again, and now and
then everything; what has not changed since it was last delivered is left out.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal
from zoneinfo import ZoneInfo

import msgspec

from sync.errors import PermanentError
from sync.ports import Cursor, Page
from sync.systems.sap_s4 import vanished
from sync.systems.sap_s4.client import Session
from sync.systems.sap_s4.items import NO_YEAR, Beside
from sync.systems.sap_s4.lines import Items
from sync.systems.sap_s4.odata import listing, text
from sync.systems.sap_s4.order import by_document
from sync.systems.sap_s4.pages import values_of
from sync.systems.sap_s4.presence import present_page
from sync.systems.sap_s4.reading import Reader
from sync.systems.sap_s4.settings import Settings
from sync.systems.sap_s4.walk import Query
from sync.systems.sap_s4.wire import ITEMS

ORDER = by_document("AccountingDocumentItem")
CUSTOMER_ITEMS = "FinancialAccountType eq 'D'"
Read = Literal["full", "open", "changes"]
STAMPS = ("LastChangeDate", "ClearingCreationDate", "AccountingDocumentCreationDate")
REMEMBERED_MAX = 300_000
"""Items whose digests one connection's memory holds; beyond that only the last pull's."""


@dataclass
class _Memory:
    """What this process has delivered, by company: the digest of each item by its key, and the keys of those that were open. True while
    the cursor is the one that it gave last.
    """

    mark: str = ""
    digests: dict[str, dict[str, bytes]] = field(default_factory=dict)
    opened: dict[str, set[str]] = field(default_factory=dict)


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
        known = self._memory if cursor is not None and cursor.get("mark") == self._memory.mark else None
        read = self._kind(cursor, now, remembers=known is not None)
        since = self._since(cursor, now) if cursor is not None and read != "full" else None
        kept = _Memory()
        held: Page | None = None
        for company in self._settings.company_codes or (None,):
            name = company or ""
            before, opened = (known.digests.get(name, {}), known.opened.get(name, set())) if known else ({}, set())
            how = read if cursor is None or name in cursor.get("companies", (name,)) else "full"
            items = self._read(company, since if how != "full" else None, now)
            if how == "open":
                items.take(self._sliced(company, self._open_only, now))
            lost = set() if how == "changes" else self._lost(items, opened)
            doubted = not vanished.believed(lost, opened)
            digests = {key: hashlib.blake2b(body, digest_size=12).digest() for key, body in items.raw.items()}
            kept.digests[name] = digests if how == "full" else self._remembered(before, digests, lost)
            kept.opened[name] = items.opened() | (opened - items.lines.keys() if how == "changes" else lost if doubted else set())
            changed = [key for key, digest in digests.items() if before.get(key) != digest]
            pages = [self._page(body, now) for body in self._bodies(items, changed, all_held=how == "full", first=cursor is None)]
            words = vanished.all_there_are(items, now, from_year=self._settings.from_fiscal_year) if how == "full" else []
            words += [] if doubted else vanished.gone(items, lost, now)
            for page in [*pages, *([present_page(ITEMS.path, words, None, now, last=False)] if words else ())]:
                if held is not None:
                    yield held
                held = page
        kept.mark = secrets.token_hex(8)
        last = held or self._page(_body([], Beside({}, {}, whole=False)), now)
        moved = self._moved(cursor, read, now, kept.mark)
        yield Page(last.body, last.content_type, moved, name=last.name, headers=last.headers, complete_until=now)
        # Only a caller who comes back with this cursor has committed what it was given.
        self._memory.mark, self._memory.digests, self._memory.opened = kept.mark, kept.digests, kept.opened

    def _kind(self, cursor: Cursor | None, now: datetime, *, remembers: bool) -> Read:
        """What is due: everything, the open items beside what changed, or what changed. Who does not remember what was open can't tell
        what is no longer, and reads everything.
        """
        if cursor is None or _due(cursor.get("full_at"), now, self._settings.full_hours):
            return "full"
        if _due(cursor.get("open_at", cursor["full_at"]), now, self._settings.open_items_hours):
            return "open" if remembers else "full"
        return "changes"

    def _moved(self, cursor: Cursor | None, read: Read, now: datetime, mark: str) -> dict[str, Any]:
        at = now.astimezone(UTC).isoformat()
        full_at = at if read == "full" or cursor is None else cursor["full_at"]
        open_at = at if read != "changes" or cursor is None else cursor.get("open_at", full_at)
        companies = [company or "" for company in self._settings.company_codes or (None,)]
        return {"since": at, "full_at": full_at, "open_at": open_at, "mark": mark, "companies": companies}

    def _since(self, cursor: Cursor, now: datetime) -> date:
        reached = min(datetime.fromisoformat(cursor["since"]), now)
        return reached.astimezone(self._zone).date() - timedelta(days=self._settings.look_back_days)

    def _read(self, company: str | None, since: date | None, now: datetime) -> Items:
        """The customers' items of a company: all, a year at a time, or those changed or cleared since a day."""
        if since is None:
            return self._sliced(company, list, now)
        day = self._session.dialect(ITEMS).midnight(since)

        def changed() -> Items:
            stamps = " or ".join(f"{name} ge {day}" for name in STAMPS if name in self._fields())
            return self._items(company, [" and ".join((*_of(company), f"({stamps})"))])

        return self._heeded(changed)

    def _lost(self, items: Items, opened: set[str]) -> set[str]:
        """Of the items that were open and are no longer, those that the host does not have at all; what became of the others is read: a
        clearing need not touch a stamp.
        """
        gone = {key.rpartition("/")[0] for key in opened - items.lines.keys()}
        self._fetch(items, gone)
        return {key for key in opened - items.lines.keys() if not key.startswith("?")}

    def _remembered(self, before: dict[str, bytes], digests: dict[str, bytes], lost: set[str]) -> dict[str, bytes]:
        if len(before) + len(digests) > REMEMBERED_MAX:
            return digests
        return {key: digest for key, digest in before.items() if key not in lost} | digests

    def _fields(self) -> tuple[str, ...]:
        return tuple(self._session.chosen(ITEMS)[0])

    def _open_only(self) -> list[str]:
        return ["IsCleared eq false" if "IsCleared" in self._fields() else "ClearingAccountingDocument eq ''"]

    def _heeded(self, read: Callable[[], Items]) -> Items:
        """What `read` gives; once more, where the host has refused a property that a condition named, and is known by now to lack it."""
        known = self._fields()
        try:
            return read()
        except PermanentError:
            if self._fields() == known:
                raise
        return self._heeded(read)

    def _sliced(self, company: str | None, conditions: Callable[[], list[str]], now: datetime) -> Items:
        """The items that fulfil the conditions, a fiscal year at a time: the service is not made for large answers. A host that heeds no
        order may have named any year as its first: what is before it is asked for, too.
        """

        def sliced() -> Items:
            where = [*_of(company), *conditions()]
            first, last = self._first_year(where, now), now.astimezone(self._zone).year
            if first is None:
                return self._items(company, [" and ".join(where)])
            years = [f"FiscalYear eq '{year}'" for year in range(first, last)] + [f"FiscalYear ge '{max(first, last)}'"]
            before = [] if self._settings.from_fiscal_year is not None else [f"FiscalYear lt '{first}'"]
            return self._items(company, [" and ".join((*where, year)) for year in (*before, *years)])

        return self._heeded(sliced)

    def _first_year(self, where: Sequence[str], now: datetime) -> int | None:
        """The first fiscal year to read; None where nothing tells it."""
        if self._settings.from_fiscal_year is not None:
            return self._settings.from_fiscal_year
        params = {"$select": "FiscalYear", "$orderby": "FiscalYear", "$top": "1", "$filter": " and ".join(where)}
        try:
            found = listing(self._session.get(ITEMS, params).body).split.records
        except PermanentError:
            return None
        years = [value for (value,) in values_of(found[:1], "FiscalYear") if value.isdigit()]
        return int(years[0]) if years and 1990 <= int(years[0]) <= now.year + 1 else None

    def _items(self, company: str | None, conditions: Sequence[str]) -> Items:
        items = Items(company)
        for where in conditions:
            for got in self._reader.read(Query(ITEMS, ORDER, where)):
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
        bills = {items.lines[key].doc for key in delivered if items.lines[key].BillingDocument and not items.lines[key].is_open}
        found = Items(items.company)
        for got in self._reader.find(ITEMS, [_naming(doc) for doc in _askable(bills)], order=ORDER):
            found.add(got.split.records)
        return _paid(found, self._settings)

    def _fetch(self, items: Items, docs: set[str]) -> None:
        for got in self._reader.find(ITEMS, [_being(doc) for doc in _askable(docs)], order=ORDER):
            items.add(got.split.records)

    def _page(self, body: bytes, now: datetime) -> Page:
        return Page(body, "application/json", None, name=ITEMS.path, headers={"received_at": now.astimezone(UTC).isoformat()})


def _of(company: str | None) -> list[str]:
    return [CUSTOMER_ITEMS] if company is None else [CUSTOMER_ITEMS, f"CompanyCode eq {text(company)}"]


def _due(at: str | None, now: datetime, hours: int) -> bool:
    """Whether what was done at `at` is to be done again; a moment that is still to come was written by a wrong clock."""
    return at is None or not now - timedelta(hours=hours) < datetime.fromisoformat(at) <= now


def _askable(docs: Iterable[str]) -> list[str]:
    """The documents that can be asked for: a company, a year and a number that hold no slash of their own, as garbage may."""
    return sorted(doc for doc in docs if doc.count("/") == 2)


def _being(doc: str) -> str:
    company, year, number = (text(part) for part in doc.split("/"))
    return f"(CompanyCode eq {company} and FiscalYear eq {year} and AccountingDocument eq {number} and {CUSTOMER_ITEMS})"


def _naming(doc: str) -> str:
    company, year, number = (text(part) for part in doc.split("/"))
    same = f"InvoiceReferenceFiscalYear eq {year} or InvoiceReferenceFiscalYear eq '' or InvoiceReferenceFiscalYear eq '{NO_YEAR}'"
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
