"""The invoices that a batch of events touched, their customers, and what the CRM was last told about them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from db.engine import Reading
from sync.process_facts import Key
from sync.rules.collections import OpenInvoice, Told

if TYPE_CHECKING:
    from sync.process_situation import Event

_INVOICES = """
select i.source, i.source_key, i.number, i.customer_key, i.currency, i.issue_date, i.due_date, i.legal_entity,
       case when i.is_deleted or i.status in ('cancelled', 'draft') then 0 else i.gross - coalesce(a.applied, 0) end as open_amount,
       o.source_key as order_key,
       case when o.source_key is not null then greatest(o.net_value - coalesce(b.billed, 0), 0) end as order_rest
from canonical.invoice i
left join lateral (
  select sum(p.amount) as applied from canonical.payment_application p
  where p.source = i.source and p.invoice_key = i.source_key and not p.is_reversed and not p.is_deleted) a on true
left join canonical.sales_order o on o.source = i.source and o.number = i.order_number and not o.is_deleted
left join lateral (
  select sum(n.gross - coalesce(n.tax, 0)) as billed from canonical.invoice n
  where n.source = o.source and n.order_number = o.number and not n.is_deleted and n.status in ('posted', 'cleared')) b on true
where (i.source, i.source_key) in (select * from unnest(cast(:sources as text[]), cast(:keys as text[])))
"""

_ACCOUNTS = """
select l.party_id, min(c.erp_number) as number
from canonical.identity_link l join canonical.customer c on c.source = l.source and c.source_key = l.source_key
where l.party_id = any(:parties) and l.source = any(:crm) and c.erp_number is not null and not c.is_deleted
group by l.party_id
"""

_TOLD = """
select distinct on (object_key) object_key, payload from process.effect
where kind = 'update_collections' and connection = any(:crm) and object_key = any(:numbers)
order by object_key, (payload ->> 'version')::bigint desc
"""


@dataclass(frozen=True, slots=True)
class Touched:
    """Invoices by key with their customer, the keys that each event touched, and per party its CRM account and what it was told."""

    invoices: Mapping[Key, tuple[OpenInvoice, Key]] = field(default_factory=dict)
    by_event: Mapping[int, Sequence[Key]] = field(default_factory=dict)
    accounts: Mapping[int, str] = field(default_factory=dict)
    told: Mapping[str, Told] = field(default_factory=dict)

    def customers(self) -> set[Key]:
        """The customer record of every touched invoice."""
        return {customer for _, customer in self.invoices.values()}

    def customers_of(self, event: Event) -> list[Key]:
        """The customer records of the invoices that `event` touched."""
        return sorted({self.invoices[key][1] for key in self.by_event.get(event.id, ()) if key in self.invoices})

    def subjects(self) -> set[str]:
        """What treasury may have been told about: the invoices and their orders."""
        found = {f"invoice:{source}:{key}" for source, key in self.invoices}
        return found | {invoice.order_subject for invoice, _ in self.invoices.values() if invoice.order_subject}

    def of_party(self, party_of: Mapping[Key, int], party: int) -> Iterator[OpenInvoice]:
        """The touched invoices of one party, by key."""
        for key in sorted(self.invoices):
            invoice, customer = self.invoices[key]
            if party_of.get(customer) == party:
                yield invoice

    def with_accounts(self, conn: Reading, parties: Collection[int], crm: Collection[str]) -> Touched:
        """The same, with each party's CRM account number and what that account was last told."""
        if not self.invoices or not parties or not crm:
            return self
        rows = conn.execute(sa.text(_ACCOUNTS), {"parties": list(parties), "crm": list(crm)})
        accounts = {row.party_id: row.number for row in rows}
        rows = conn.execute(sa.text(_TOLD), {"crm": list(crm), "numbers": list(accounts.values())})
        return replace(self, accounts=accounts, told={row.object_key: _told(row.payload) for row in rows})


def load(conn: Reading, events: Sequence[Event]) -> Touched:
    """The invoices that `events` name: by their own key, or as the object of an application."""
    by_event: dict[int, list[Key]] = {}
    new: set[Key] = set()
    for event in events:
        if event.type == "payment.applied":
            by_event[event.id] = [(event.source, key) for key in event.linked("invoice")]
        else:
            by_event[event.id] = [(event.source, event.source_key)]
            if event.type == "invoice.posted":
                new.add((event.source, event.source_key))
    keys = sorted({key for some in by_event.values() for key in some})
    if not keys:
        return Touched()
    rows = conn.execute(sa.text(_INVOICES), {"sources": [source for source, _ in keys], "keys": [key for _, key in keys]}).mappings()
    invoices = {(row["source"], row["source_key"]): (_invoice(row, new), (row["source"], row["customer_key"])) for row in rows}
    return Touched(invoices=invoices, by_event=by_event)


def decimal(value: Any) -> Decimal | None:
    """A JSON value (text or number) as an exact decimal; None stays None."""
    return None if value is None else Decimal(str(value))


def _invoice(row: sa.RowMapping, new: set[Key]) -> OpenInvoice:
    names = ("source", "number", "currency", "issue_date", "due_date", "legal_entity", "open_amount", "order_rest")
    order = row["order_key"]
    return OpenInvoice(
        **{name: row[name] for name in names},
        key=row["source_key"],
        order_subject=None if order is None else f"order:{row['source']}:{order}",
        is_new=(row["source"], row["source_key"]) in new,
    )


def _told(payload: Mapping[str, Any]) -> Told:
    return Told(
        status=payload["status"],
        overdue_amount=Decimal(payload["overdue_amount"]),
        currency=payload["currency"],
        version=int(payload["version"]),
    )
