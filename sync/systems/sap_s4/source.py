"""The streams of an S/4HANA host: what is pulled in which order, from which stamp on, and how pages are put together."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from sync.connections import Connection
from sync.errors import PermanentError, SourceError
from sync.ports import Capabilities, Cursor, Finding, Mapped, Page, Stream
from sync.systems.sap_s4 import wire
from sync.systems.sap_s4.client import Got, Query, Record, Session, credit_accounts
from sync.systems.sap_s4.items import map_items
from sync.systems.sap_s4.ledger import Ledger
from sync.systems.sap_s4.mapping import map_billing, map_credit, map_customers, map_orders
from sync.systems.sap_s4.settings import Settings
from sync.systems.sap_s4.wire import (
    ADDRESSES,
    BILLING,
    COMPANIES,
    CREDIT_NEEDED,
    CREDIT_WANTED,
    CUSTOMERS,
    ITEMS,
    ORDERS,
    PARTNERS,
    EntitySet,
)

STREAMS = (
    Stream("customers", ("customer",), Capabilities(snapshot=True)),
    Stream("credit_accounts", ("credit_limit",), Capabilities(incremental=False, snapshot=True)),
    Stream("sales_orders", ("sales_order",), Capabilities(hints=True, writes=True)),
    Stream("billing_documents", ("invoice",), Capabilities(hints=True)),
    Stream("accounting_items", ("payment", "payment_application", "gl_posting"), Capabilities(snapshot=True)),
)
NOTHING = b'{"d":{"results":[]}}'
"""Stands for a last page that is as it was."""
PROFORMA = "SDDocumentCategory ne 'U'"
"""Pro forma documents are no receivables."""


class S4Source:
    """A connection of the system `sap_s4`."""

    def __init__(self, connection: Connection, settings: Settings, session: Session) -> None:
        self._connection = connection
        self._settings = settings
        self._session = session
        self._zone = ZoneInfo(settings.zone)

    def streams(self) -> Sequence[Stream]:
        """Customers first: everything else names one."""
        return STREAMS

    def pull(self, stream: str, cursor: Cursor | None, *, now: datetime) -> Iterator[Page]:
        """Pages of a stream. Every pull ends with a page that says until when all is complete, be it empty."""
        if stream == "sales_orders":
            return self._stamped(ORDERS, "SalesOrder", None, cursor, now)
        if stream == "billing_documents":
            return self._stamped(BILLING, "BillingDocument", PROFORMA, cursor, now)
        if stream == "accounting_items":
            return Ledger(self._connection.name, self._settings, self._session).pages(cursor, now=now)
        if stream == "credit_accounts":
            return self._credit(cursor, now)
        if stream == "customers":
            return self._customers(cursor, now)
        known = ", ".join(one.name for one in STREAMS)
        raise PermanentError(f"S/4HANA has no stream {stream!r} here; it has: {known}", connection=self._connection.name)

    def map(self, stream: str, page: Page) -> Mapped:
        """Pure: the page in canonical words. Raises DataError when it is no page of this stream."""
        received = page.headers.get("received_at")
        at = datetime.fromisoformat(received) if received else datetime.max.replace(tzinfo=UTC)
        if stream == "sales_orders":
            return map_orders(page.body, self._settings)
        if stream == "billing_documents":
            return map_billing(page.body, self._settings)
        if stream == "customers":
            return map_customers(page.body, self._settings)
        if stream == "credit_accounts":
            return map_credit(page.body, self._settings, at)
        return map_items(page.body, self._settings, at)

    def probe(self, *, now: datetime) -> Iterator[Finding]:
        """Says of every service whether it answers, has what we need, and what we shall do without."""
        del now
        for entity_set in (PARTNERS, CUSTOMERS, COMPANIES, ORDERS, BILLING, ITEMS, self._credit_set()):
            try:
                chosen = self._session.select(entity_set)["$select"].split(",")
                answer = self._session.get(entity_set.path, {"$top": "1", "$select": ",".join(entity_set.needed), "$format": "json"})
                answer.json()
            except SourceError as error:
                yield Finding(entity_set.path, ok=False, words=error.detail)
                continue
            without = [name for name in entity_set.wanted if name not in chosen and wire.RENAMED.get(name) not in chosen]
            words = "can be read" + (f"; this release has no {', '.join(without)}" if without else "")
            yield Finding(entity_set.path, ok=True, words=words)

    def close(self) -> None:
        self._session.close()

    def _stamped(self, entity_set: EntitySet, key: str, where: str | None, cursor: Cursor | None, now: datetime) -> Iterator[Page]:
        """Records in the order of their change, from a little before the cursor on: commits may appear late."""
        stamp = "LastChangeDateTime"
        reached = min(datetime.fromisoformat(cursor["since"]), now) if cursor else None
        since = reached - timedelta(minutes=self._settings.look_back_minutes) if reached else None

        def after(last: Record) -> str | None:
            at = wire.read_moment(last.get(stamp))
            # The JSON has milliseconds and the host seven digits: "greater or equal" reads the last record again, "greater" might too.
            return f"{stamp} ge {wire.moment(at)}" if at is not None else None

        start = f"{stamp} ge {wire.moment(since)}" if since else None
        for got, last in _with_last(self._session.read(Query(entity_set, f"{stamp},{key}", after, where, start))):
            stamps = (wire.read_moment(record.get(stamp)) for record in (got.first, got.last) if record)
            reached = max((at for at in (reached, *(min(at, now) for at in stamps if at)) if at), default=None)
            mark = {"since": (reached or now).astimezone(UTC).isoformat()}
            yield self._page(entity_set, got.body, mark, now, last=last)

    def _credit_set(self) -> EntitySet:
        return credit_accounts(self._settings, CREDIT_NEEDED, CREDIT_WANTED)

    def _credit(self, cursor: Cursor | None, now: datetime) -> Iterator[Page]:
        """All credit accounts, each time: their stamp is a day and exists only for the limit. A page that is as it was is left out."""
        known: Sequence[str] = cursor.get("pages", ()) if cursor else ()
        digests: list[str] = []
        query = Query(self._credit_set(), "BusinessPartner,CreditSegment", _by("BusinessPartner"))
        for got, last in _with_last(self._session.read(query)):
            digests.append(hashlib.sha256(b",".join(bytes(record) for record in got.split.records)).hexdigest()[:16])
            same = known[len(digests) - 1 : len(digests)] == digests[-1:]
            if last:
                mark = {"read_at": now.astimezone(UTC).isoformat(), "pages": digests}
                yield self._page(query.entity_set, NOTHING if same else got.body, mark, now, last=True)
            elif not same:
                yield self._page(query.entity_set, got.body, None, now, last=False)

    def _customers(self, cursor: Cursor | None, now: datetime) -> Iterator[Page]:
        """Business partners that are customers, changed since the cursor's day or, now and then, all of them: changes of terms
        and blocks need not touch the partner's stamp.
        """
        read_at = datetime.fromisoformat(cursor["full_at"]) if cursor else None
        full = read_at is None or not now - timedelta(hours=self._settings.full_hours) < read_at <= now
        where = "Customer ne ''"
        if cursor is not None and not full:
            day = self._day(min(datetime.fromisoformat(cursor["since"]), now)) - timedelta(days=self._settings.look_back_days)
            where += f" and (LastChangeDate ge {wire.midnight(day)} or CreationDate ge {wire.midnight(day)})"
        mark = {
            "since": now.astimezone(UTC).isoformat(),
            "full_at": (now if full or read_at is None else read_at).astimezone(UTC).isoformat(),
        }
        query = Query(PARTNERS, "BusinessPartner", _by("BusinessPartner"), where)
        for got, last in _with_last(self._session.read(query)):
            yield self._page(PARTNERS, self._with_masters(got), mark if last else None, now, last=last)

    def _with_masters(self, got: Got) -> bytes:
        """The partners of an answer with their customer, company and address records, all as the host gave them."""
        partners = list(got.split.records)
        numbers: list[str] = []
        keys: list[str] = []
        for raw in partners:
            try:
                row = msgspec.json.decode(bytes(raw), type=dict[str, Any])
            except msgspec.DecodeError:
                continue  # mapping rejects it
            numbers += [row["Customer"]] if isinstance(row.get("Customer"), str) and row["Customer"] else []
            keys += [row["BusinessPartner"]] if isinstance(row.get("BusinessPartner"), str) and row["BusinessPartner"] else []
        parts = {
            b"partners": partners,
            b"customers": self._about(CUSTOMERS, "Customer", numbers),
            b"companies": self._about(COMPANIES, "Customer", numbers),
            b"addresses": self._about(ADDRESSES, "BusinessPartner", keys) if self._session.has(ADDRESSES) else [],
        }
        return b"{" + b",".join(b'"%b":[%b]' % (name, b",".join(bytes(one) for one in raws)) for name, raws in parts.items()) + b"}"

    def _about(self, entity_set: EntitySet, key: str, values: Sequence[str]) -> list[Any]:
        """The records of a set for these keys: few are named, many asked for as a range."""
        together = 30
        if len(values) > together:
            low, high = wire.text(min(values)), wire.text(max(values))
            query = Query(entity_set, key, _by(key), f"{key} ge {low} and {key} le {high}")
            return [record for got in self._session.read(query) for record in got.split.records]
        conditions = [f"{key} eq {wire.text(value)}" for value in values]
        return [record for got in self._session.find(entity_set, conditions, together) for record in got.split.records]

    def _day(self, at: datetime) -> date:
        return at.astimezone(self._zone).date()

    def _page(self, entity_set: EntitySet, body: bytes, cursor: Mapping[str, Any] | None, now: datetime, *, last: bool) -> Page:
        headers = {"received_at": now.astimezone(UTC).isoformat()}
        return Page(body, "application/json", cursor, name=entity_set.path, headers=headers, complete_until=now if last else None)


def _by(key: str) -> Any:
    """Goes on at the last record's key: keys are exact, so nothing is lost between pages."""
    return lambda last: f"{key} ge {wire.text(last[key])}" if isinstance(last.get(key), str) and last[key] else None


def _with_last(answers: Iterator[Got]) -> Iterator[tuple[Got, bool]]:
    """Each answer, and whether it is the last one."""
    held: Got | None = None
    for got in answers:
        if held is not None:
            yield held, False
        held = got
    if held is not None:
        yield held, True
