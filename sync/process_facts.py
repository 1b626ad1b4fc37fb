"""The facts that the rules decide from, loaded for a whole batch at once: a handful of set-based queries, whatever its size."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import date
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from db.engine import Reading
from sync import fx
from sync.rules.facts import Limit, Order, Party, Rates, SalesContract, Sum
from sync.rules.treasury import Published

Key = tuple[str, str]
"""(source, source_key): how every record is named."""

_LINKS = "links as (select party_id, source, source_key from canonical.identity_link where party_id = any(:parties))"

_ORDERS = """
select o.*, (select count(*) from process.event e where e.entity = 'sales_order' and e.type = 'order.blocked'
             and e.source = o.source and e.source_key = o.source_key) as episodes,
       (select b.requested_by from process.effect b where b.kind = 'block_order' and b.state <> 'failed' and b.connection = o.source
          and b.object_key = o.source_key and not exists (
            select from process.effect r where r.kind = 'release_order' and r.approved_by is not null and r.connection = o.source
              and r.object_key = o.source_key and r.planned_at > b.planned_at)
        order by b.id desc limit 1) as blocked_by
from canonical.sales_order o
where (o.source, o.source_key) in (select * from unnest(cast(:sources as text[]), cast(:keys as text[])))
   or o.contract_number = any(:contracts)
order by o.source, o.source_key
"""

_CONTRACTS = """
select * from canonical.contract
where not is_deleted and (number = any(:numbers)
   or (source, source_key) in (select * from unnest(cast(:sources as text[]), cast(:keys as text[]))))
"""

# An order counts with what is not invoiced yet, an invoice with what is not paid: each item in flight once. Orders that still
# wait for a credit decision are not exposure, but those whose release is decided and not yet shown by the ERP are ("reserved").
# Goods that have left for an order that is not known here count by themselves, as in metrics/queries/exposures.sql.
_SUMS = f"""
with {_LINKS},
orders as (
  select l.party_id, o.source, o.source_key, o.number, o.currency, o.credit_status,
         greatest(o.net_value - coalesce((
           select sum(i.gross - coalesce(i.tax, 0)) from canonical.invoice i
           where i.source = o.source and i.order_number = o.number and not i.is_deleted and i.status in ('posted', 'cleared')), 0), 0) as rest
  from links l join canonical.sales_order o on o.source = l.source and o.customer_key = l.source_key
  where not o.is_deleted and o.net_value is not null and o.currency is not null
    and coalesce(o.status, 'open') not in ('complete', 'cancelled') and coalesce(o.billing_status, 'open') <> 'complete'
    and coalesce(o.delivery_block, '') <> 'rejected'
)
select party_id, 'open_orders' as kind, currency, sum(rest) as amount, null as subject from orders
where credit_status is distinct from 'blocked' group by party_id, currency
union all
select o.party_id, 'reserved', o.currency, o.rest, o.source || '/' || o.source_key from orders o
where o.credit_status = 'blocked' and exists (
    select from process.effect f
    where f.kind = 'release_order' and f.connection = o.source and f.object_key = o.source_key and f.state <> 'failed'
      and (f.payload ->> 'episode')::int = greatest(1, (
        select count(*) from process.event e where e.entity = 'sales_order' and e.type = 'order.blocked'
          and e.source = o.source and e.source_key = o.source_key)))
union all
select l.party_id, 'open_deliveries', d.currency, sum(d.value), null
from links l join canonical.delivery d on d.source = l.source and d.customer_key = l.source_key
where not d.is_deleted and not d.is_invoiced and d.goods_issued_on is not null and d.value is not null and d.currency is not null
  and not exists (select from canonical.sales_order o where o.source = d.source and o.source_key = d.order_key and not o.is_deleted)
  and not exists (select from canonical.sales_order o where o.source = d.source and o.number = d.order_key and not o.is_deleted)
group by l.party_id, d.currency
"""

_RECEIVABLES = f"""
with {_LINKS},
invoices as (
  select l.party_id, i.currency, i.due_date, i.gross - coalesce(a.applied, 0) as rest, i.gross, a.cleared_on
  from links l
  join canonical.invoice i on i.source = l.source and i.customer_key = l.source_key
  left join lateral (
    select sum(p.amount) as applied, max(p.clearing_date) as cleared_on from canonical.payment_application p
    where p.source = i.source and p.invoice_key = i.source_key and not p.is_reversed and not p.is_deleted
  ) a on true
  where not i.is_deleted and i.status in ('posted', 'cleared')
)
select party_id, currency, coalesce(sum(rest), 0) as open, coalesce(sum(rest) filter (where due_date < :today and rest > 0), 0) as overdue,
       coalesce(max(:today - due_date) filter (where due_date < :today and rest > 0), 0) as oldest
from invoices group by party_id, currency order by party_id, currency
"""

_BEHAVIOUR = f"""
with {_LINKS}
select l.party_id, count(*) as cleared, percentile_disc(0.5) within group (order by a.cleared_on - i.due_date) as median
from links l
join canonical.invoice i on i.source = l.source and i.customer_key = l.source_key
join lateral (
  select sum(p.amount) as applied, max(p.clearing_date) as cleared_on from canonical.payment_application p
  where p.source = i.source and p.invoice_key = i.source_key and not p.is_reversed and not p.is_deleted
) a on a.applied >= i.gross
where not i.is_deleted and i.status in ('posted', 'cleared') and i.gross > 0 and i.due_date is not null and i.issue_date > :today - 400
group by l.party_id
"""

_CUSTOMERS = f"""
with {_LINKS}
select l.party_id, c.order_block, c.delivery_block, c.payment_terms_days
from links l join canonical.customer c on c.source = l.source and c.source_key = l.source_key
where not c.is_deleted
"""

_LIMITS = f"""
with {_LINKS}
select l.party_id, m.segment, m.limit_amount, m.currency, m.valid_from, m.valid_to, m.secured_amount, m.is_blocked
from links l join canonical.credit_limit m on m.source = l.source and m.customer_key = l.source_key
where not m.is_deleted order by l.party_id, m.source, m.source_key
"""

# A stream that never succeeded makes the whole connection "never": what it would have told is not known.
_COMPLETE = f"""
with {_LINKS}
select l.party_id,
       case when bool_or(s.complete_until is null and s.last_success_at is null) then null
            else min(greatest(s.complete_until, s.last_success_at)) end as complete_until
from (select distinct party_id, source from links) l
join process.stream s on s.connection = l.source
where l.source = any(:erps)
group by l.party_id
"""


def orders(conn: Reading, keys: Collection[Key], contracts: Collection[str] = ()) -> list[Order]:
    """The orders named by `keys` and those of the contracts numbered `contracts`; `episode` is how often each was blocked, at least 1."""
    rows = conn.execute(sa.text(_ORDERS), {**_pairs(keys), "contracts": list(contracts)}).mappings()
    return [
        Order(
            **{name: row[name] for name in _ORDER_FIELDS},
            key=row["source_key"],
            version=row["source_version"],
            episode=max(int(row["episodes"]), 1),
        )
        for row in rows
    ]


_ORDER_FIELDS = (
    "source", "number", "customer_key", "region", "contract_number", "net_value", "currency", "requested_delivery",
    "credit_status", "delivery_block", "status", "etag", "legal_entity", "is_deleted", "blocked_by",
)  # fmt: skip


def contracts(conn: Reading, keys: Collection[Key], numbers: Collection[str]) -> list[SalesContract]:
    """The contracts named by `keys` or numbered `numbers`."""
    rows = conn.execute(sa.text(_CONTRACTS), {**_pairs(keys), "numbers": list(numbers)}).mappings()
    fields = ("source", "number", "status", "region", "value", "currency", "customer_key", "legal_entity")
    return [SalesContract(**{name: row[name] for name in fields}, key=row["source_key"]) for row in rows]


def party_ids(conn: Reading, customers: Collection[Key]) -> dict[Key, int]:
    """Which party each customer record is; those not linked are left out."""
    if not customers:
        return {}
    rows = conn.execute(
        sa.text(
            "select source, source_key, party_id from canonical.identity_link"
            " where (source, source_key) in (select * from unnest(cast(:sources as text[]), cast(:keys as text[])))"
        ),
        _pairs(customers),
    )
    return {(row.source, row.source_key): row.party_id for row in rows}


def lock_parties(conn: Reading, ids: Collection[int]) -> None:
    """Decide about each of these parties alone until this transaction ends; in one order everywhere, so nobody waits in a ring."""
    if ids:
        conn.execute(
            sa.text(
                "select pg_advisory_xact_lock(hashtextextended('tidegate.party', id)) from"
                " (select distinct id from unnest(cast(:ids as bigint[])) as id order by id) wanted"
            ),
            {"ids": list(ids)},
        )


def parties(conn: Reading, ids: Collection[int], *, today: date, erps: Collection[str]) -> dict[int, Party]:
    """Everything the rules ask of these parties, as of the statement's snapshot.

    `erps`: the connections whose completeness matters. A reservation's subject is `source/source_key` of its order.
    """
    if not ids:
        return {}
    bound: dict[str, Any] = {"parties": list(ids), "today": today, "erps": list(erps)}

    def rows(statement: str) -> list[Any]:
        return list(conn.execute(sa.text(statement), bound))

    found: dict[int, dict[str, Any]] = {
        row.id: {"id": row.id, "name": row.name, "number": row.number, "region": row.region, "sums": [], "limits": [], "blocks": set()}
        for row in rows("select id, name, number, region from canonical.party where id = any(:parties)")
    }
    for row in rows(_CUSTOMERS):
        entry = found[row.party_id]
        entry["blocks"] |= {name for name in ("order_block", "delivery_block") if getattr(row, name)}
        if row.payment_terms_days is not None:
            entry["terms_days"] = max(row.payment_terms_days, entry.get("terms_days", 0))
    for row in rows(_LIMITS):
        limit = Limit(
            segment=row.segment, amount=row.limit_amount, currency=row.currency, valid_from=row.valid_from, valid_to=row.valid_to,
            secured=row.secured_amount, is_blocked=row.is_blocked,
        )  # fmt: skip
        found[row.party_id]["limits"].append(limit)
    for row in sorted(rows(_SUMS), key=lambda each: (each.party_id, each.kind, each.currency, each.subject or "")):
        found[row.party_id]["sums"].append(Sum(kind=row.kind, currency=row.currency, amount=row.amount, subject=row.subject))
    for row in rows(_RECEIVABLES):
        entry = found[row.party_id]
        entry["sums"] += [
            Sum(kind="open_receivables", currency=row.currency, amount=row.open),
            Sum(kind="overdue", currency=row.currency, amount=row.overdue),
        ]
        entry["oldest_days_overdue"] = max(int(row.oldest), entry.get("oldest_days_overdue", 0))
    for row in rows(_BEHAVIOUR):
        found[row.party_id].update(median_days_late=row.median, cleared_invoices=row.cleared)
    for row in rows(_COMPLETE):
        found[row.party_id]["complete_until"] = row.complete_until
    return {key: _party(entry) for key, entry in found.items()}


def _party(entry: Mapping[str, Any]) -> Party:
    return Party(
        **{
            **entry,
            "sums": tuple(entry["sums"]),
            "limits": tuple(entry["limits"]),
            "blocks": tuple(sorted(name.replace("_", " ") for name in entry["blocks"])),
        }
    )


def rates(conn: Reading, reporting: str, on: date) -> Rates:
    """The newest known rate of every currency on `on` or before, and the newest of their dates."""
    known = {code: told for code, told in fx.rates_at(conn, on).items() if code != fx.BASE}
    newest = max((day for _, day in known.values()), default=None)
    return Rates(reporting=reporting, on=newest, units_per_eur={code: units for code, (units, _) in known.items()})


def published(conn: Reading, subjects: Collection[str]) -> dict[str, list[Published]]:
    """The flows that the ledger holds for treasury about each subject, oldest first.

    One that treasury refused counts too: it waits in the exception queue, and its replay makes it true.
    """
    if not subjects:
        return {}
    rows = conn.execute(
        sa.text(
            "select object_key, payload from process.effect where kind = 'publish_forecast' and object_key = any(:subjects) order by id"
        ),
        {"subjects": list(subjects)},
    )
    found: dict[str, list[Published]] = {}
    for row in rows:
        flow = Published(
            subject=row.object_key,
            amount=Decimal(row.payload["amount"]),
            currency=row.payload["currency"],
            expected_date=date.fromisoformat(row.payload["expected_date"]),
        )
        found.setdefault(row.object_key, []).append(flow)
    return found


def _pairs(keys: Collection[Key]) -> dict[str, list[str]]:
    ordered = sorted(set(keys))
    return {"sources": [source for source, _ in ordered], "keys": [key for _, key in ordered]}
