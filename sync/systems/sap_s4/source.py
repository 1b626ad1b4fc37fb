"""The streams of an S/4HANA host: what there is, which part of the adapter reads it, and how its pages are understood."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Protocol

from sync.connections import Connection
from sync.errors import PermanentError
from sync.ports import Capabilities, Cursor, Finding, Mapped, Page, Stream
from sync.systems.sap_s4.client import Session
from sync.systems.sap_s4.credit import Accounts
from sync.systems.sap_s4.deliveries import Deliveries
from sync.systems.sap_s4.documents import RECEIVABLES, Documents
from sync.systems.sap_s4.items import map_items
from sync.systems.sap_s4.journal import Journal
from sync.systems.sap_s4.ledger import Ledger
from sync.systems.sap_s4.mapping import bills_of, map_billing, map_orders, orders_of, read_page
from sync.systems.sap_s4.masters import map_credit, map_customers
from sync.systems.sap_s4.partners import Partners
from sync.systems.sap_s4.postings import map_journal
from sync.systems.sap_s4.presence import map_present
from sync.systems.sap_s4.probe import probe
from sync.systems.sap_s4.settings import Settings
from sync.systems.sap_s4.shipments import map_deliveries
from sync.systems.sap_s4.wire import BILLING, ORDERS
from sync.wire_together import together

STREAMS = (
    Stream("customers", ("customer",), Capabilities(deletes=True, snapshot=True, hints=True)),
    Stream("credit_accounts", ("credit_limit",), Capabilities(incremental=False, deletes=True, snapshot=True)),
    Stream("sales_orders", ("sales_order",), Capabilities(deletes=True, hints=True, writes=True)),
    Stream("billing_documents", ("invoice",), Capabilities(hints=True)),
    Stream("deliveries", ("delivery",), Capabilities(deletes=True, hints=True)),
    Stream("accounting_items", ("payment", "payment_application", "gl_posting"), Capabilities(deletes=True, snapshot=True)),
    Stream("journal_lines", ("gl_posting",)),
)


class Rereads(Protocol):
    """A stream whose records can also be read one by one."""

    def pages(self, cursor: Cursor | None, *, now: datetime) -> Iterator[Page]:
        """The pages of one pull."""
        ...

    def again(self, keys: Sequence[str], *, now: datetime) -> Iterator[Page]:
        """The pages with these records as they are now."""
        ...


class S4Source:
    """A connection of the system `sap_s4`."""

    def __init__(self, connection: Connection, settings: Settings, session: Session) -> None:
        self._connection = connection
        self._settings = settings
        self._session = session

    def streams(self) -> Sequence[Stream]:
        """Customers first: everything else names one."""
        return STREAMS

    def pull(self, stream: str, cursor: Cursor | None, *, now: datetime) -> Iterator[Page]:
        """Pages of a stream. Every pull ends with a page that says until when all is complete, be it empty."""
        if stream == "accounting_items":
            return Ledger(self._connection.name, self._settings, self._session).pages(cursor, now=now)
        if stream == "credit_accounts":
            return Accounts(self._settings, self._session).pages(cursor, now=now)
        if stream == "journal_lines":
            return Journal(self._settings, self._session).pages(cursor, now=now)
        found = self._rereads(stream)
        if found is None:
            known = ", ".join(one.name for one in STREAMS)
            raise PermanentError(f"S/4HANA has no stream {stream!r} here; it has: {known}", connection=self._connection.name)
        return found.pages(cursor, now=now)

    def reread(self, stream: str, keys: Sequence[str], *, now: datetime) -> Iterator[Page]:
        """Pages with these records as they are now; nothing for a stream whose records are not named by webhooks."""
        found = self._rereads(stream)
        return iter(()) if found is None else found.again(keys, now=now)

    def map(self, stream: str, page: Page) -> Mapped:
        """Pure: the page in canonical words. Raises DataError when it is no page of this stream."""
        said = map_present(page.body)
        if said is not None:
            return said
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
        if stream == "deliveries":
            return map_deliveries(page.body, self._settings, at)
        if stream == "journal_lines":
            return map_journal(page.body, self._settings, at)
        return map_items(page.body, self._settings, at)

    def map_together(self, stream: str, pages: Sequence[Page]) -> Sequence[Mapped]:
        """Pure: as `map` for each of the pages; those of orders and bills are gone through at once."""
        mapping = {"sales_orders": orders_of, "billing_documents": bills_of}.get(stream)
        if mapping is None:
            return [self.map(stream, page) for page in pages]
        read = [read_page(page.body) for page in pages]
        protocol = read[0][1]
        if any(spoken != protocol for _, spoken in read):
            return [mapping(rows, spoken, self._settings) for rows, spoken in read]
        return together([rows for rows, _ in read], lambda rows: mapping(rows, protocol, self._settings))

    def probe(self, *, now: datetime) -> Iterator[Finding]:
        """Says whether the host can be reached, lets us in, keeps time, and has what each stream needs."""
        return probe(self._connection, self._settings, self._session, now=now)

    def close(self) -> None:
        self._session.close()

    def _rereads(self, stream: str) -> Rereads | None:
        if stream == "sales_orders":
            return Documents(self._settings, self._session, ORDERS, "SalesOrder", undone="sales_order")
        if stream == "billing_documents":
            return Documents(self._settings, self._session, BILLING, "BillingDocument", RECEIVABLES)
        if stream == "customers":
            return Partners(self._settings, self._session)
        if stream == "deliveries":
            return Deliveries(self._settings, self._session)
        return None
