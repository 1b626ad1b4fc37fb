"""A batch of events and everything known about what they touch; and the decisions that follow, one subject after the other.

Within a batch a release counts against the next order of the same customer at once, so that a batch decides exactly as single
events would, one after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa

from db.engine import Reading
from sync import policy, process_facts, process_invoices, process_treasury
from sync.connections import Landscape
from sync.process_facts import Key
from sync.rules import collections, exposure, liquidity, order_to_cash, reconciliation
from sync.rules.facts import ZERO, Decision, Fact, Order, Party, Rates, SalesContract, Sum, Terms
from sync.rules.treasury import Published
from sync.systems.registry import names_of

ORDER_EVENTS = frozenset({"contract.approved", "order.blocked", "release.conflicted", "order.released"})
RECHECK_EVENTS = frozenset({"credit_limit.changed", "payment.applied", "sync.recovered"})
INVOICE_EVENTS = frozenset({"invoice.posted", "invoice.due", "invoice.cancelled", "invoice.disputed", "payment.applied"})
BREACH_EVENTS = frozenset({"exposure.breached", "exposure.cleared"})


@dataclass(frozen=True, slots=True)
class Event:
    """A business event that was claimed. `attempts`: how often it was tried before."""

    id: int
    type: str
    source: str
    source_key: str
    region: str
    objects: tuple[str, ...]
    data: Mapping[str, Any]
    attempts: int

    def linked(self, kind: str) -> list[str]:
        """The keys of the objects of `kind` that the event touches."""
        return [name.partition(":")[2] for name in self.objects if name.startswith(f"{kind}:")]


@dataclass(slots=True)
class Decided:
    """What became of a batch: decisions by the event that led to them, events that wait, and those whose rule failed."""

    decisions: list[tuple[Event, Decision]] = field(default_factory=list)
    waiting: dict[int, Decision] = field(default_factory=dict)
    failed: dict[int, Exception] = field(default_factory=dict)


@dataclass(slots=True)
class Situation:
    """What the events of one batch touch, as it stands under the parties' locks."""

    now: datetime
    terms: Terms
    rates: Rates
    events: Sequence[Event]
    orders: dict[Key, Order]
    events_of_order: dict[Key, list[Event]]
    contracts: dict[str, SalesContract]
    party_of: dict[Key, int]
    parties: dict[int, Party]
    invoices: process_invoices.Touched
    published: dict[str, list[Published]]
    treasury: Sequence[tuple[Event, Fact]] = ()

    def party(self, source: str, customer_key: str | None) -> Party | None:
        """The party behind a customer record, or None when it is not known."""
        return None if customer_key is None else self.parties.get(self.party_of.get((source, customer_key), -1))


def load(conn: Reading, landscape: Landscape, events: Sequence[Event], now: datetime) -> Situation:
    """Everything the rules need for `events`, and the locks on the parties they touch. A fixed number of queries."""
    order_keys = {(e.source, e.source_key) for e in events if e.type in ORDER_EVENTS and e.type != "contract.approved"}
    approved = {(e.source, e.source_key) for e in events if e.type == "contract.approved"}
    signed = process_facts.contracts(conn, approved, ()) if approved else []
    rechecked = _open_cases(conn, [e for e in events if e.type in RECHECK_EVENTS])
    wanted = order_keys | set(rechecked)
    orders = process_facts.orders(conn, wanted, [c.number for c in signed]) if wanted or signed else []
    named = {order.contract_number for order in orders if order.contract_number}
    contracts = process_facts.contracts(conn, (), named) if named else []
    touched = process_invoices.load(conn, [e for e in events if e.type in INVOICE_EVENTS])
    customers = {(order.source, order.customer_key) for order in orders} | touched.customers()
    party_of = process_facts.party_ids(conn, customers)
    ids = set(party_of.values())
    process_facts.lock_parties(conn, ids)
    erps = {source for source, _ in customers}
    subjects = {f"order:{order.source}:{order.key}" for order in orders} | touched.subjects()
    crm = [connection.name for connection in policy.able(landscape, "update_collections")]
    received = [event for event in events if event.type == "payment.received"]
    banks = names_of(landscape, "bank", "treasury")
    balances = [event for event in events if event.type == "cash_position.refreshed"][-1:]
    treasury: list[tuple[Event, Fact]] = list(process_treasury.payments(conn, received, banks))
    for event in balances:
        treasury += process_treasury.cash(conn, landscape, event, now.date())
    return Situation(
        treasury=treasury,
        now=now,
        terms=policy.terms(landscape),
        rates=process_facts.rates(conn, landscape.reporting_currency, now.date()),
        events=events,
        orders={(order.source, order.key): order for order in orders},
        events_of_order=_by_order(events, orders, {c.key: c.number for c in signed}, rechecked),
        contracts={contract.number: contract for contract in contracts},
        party_of=party_of,
        parties=process_facts.parties(conn, ids, today=now.date(), erps=erps),
        invoices=touched.with_accounts(conn, set(party_of.values()), crm),
        published=process_facts.published(conn, subjects),
    )


def decide(situation: Situation) -> Decided:
    """One decision per subject, in the order of its first event. A rule that raises fails its own events only."""
    decided = Decided()
    first: list[tuple[int, list[Event], Callable[[list[Event]], Decision | None]]] = []
    for key, events in situation.events_of_order.items():
        first.append((events[0].id, events, lambda some, key=key: _order(situation, key, some)))  # type: ignore[misc]
    for party, events in _by_party(situation).items():
        first.append((events[0].id, events, lambda _some, party=party: _customer(situation, party)))  # type: ignore[misc]
    breaches = [event for event in situation.events if event.type in BREACH_EVENTS]
    first.extend((event.id, [event], lambda some: _breach(situation, some[0])) for event in breaches)
    first.extend((event.id, [event], lambda _some, facts=facts: _treasury(facts)) for event, facts in situation.treasury)  # type: ignore[misc]
    for _, events, rule in sorted(first, key=lambda entry: entry[0]):
        try:
            decision = rule(events)
        except Exception as error:
            decided.failed |= {event.id: error for event in events}
            continue
        if decision is None:
            continue
        if decision.outcome == "wait":
            decided.waiting |= {event.id: decision for event in events}
        elif decision.outcome not in ("unchanged",):
            decided.decisions.append((events[-1], decision))
    return decided


def _order(situation: Situation, key: Key, events: Sequence[Event]) -> Decision:
    order = situation.orders[key]
    party = situation.party(order.source, order.customer_key)
    own = f"{order.source}/{order.key}"
    if party is not None:
        party = _without(party, own)
    subject = f"order:{order.source}:{order.key}"
    facts = order_to_cash.OrderToCash(
        now=situation.now,
        terms=situation.terms,
        rates=situation.rates,
        order=order,
        contract=situation.contracts.get(order.contract_number or ""),
        party=party,
        patience=max(order_to_cash.PATIENCE - max(event.attempts for event in events), 0),
        published=tuple(situation.published.get(subject, ())),
    )
    decision = order_to_cash.decide(facts)
    if decision.outcome == "release" and party is not None and order.net_value is not None and order.currency is not None:
        reserved = Sum(kind="reserved", currency=order.currency, amount=order.net_value, subject=own)
        situation.parties[party.id] = _with(party, reserved)
    return decision


def _without(party: Party, subject: str) -> Party:
    """The party as it would be if the order `subject` had not been released: a re-decision is not held by itself."""
    return _replace(party, tuple(entry for entry in party.sums if entry.subject != subject))


def _with(party: Party, reserved: Sum) -> Party:
    return _replace(party, (*party.sums, reserved))


def _replace(party: Party, sums: tuple[Sum, ...]) -> Party:

    return msgspec.structs.replace(party, sums=sums)


def _customer(situation: Situation, party_id: int) -> Decision:
    touched = situation.invoices
    invoices = tuple(touched.of_party(situation.party_of, party_id))
    subjects = {f"invoice:{invoice.source}:{invoice.key}" for invoice in invoices}
    subjects |= {invoice.order_subject for invoice in invoices if invoice.order_subject}
    account = touched.accounts.get(party_id)
    return collections.decide(
        collections.Collections(
            now=situation.now,
            terms=situation.terms,
            rates=situation.rates,
            party=situation.parties[party_id],
            account_number=account,
            told=touched.told.get(account or ""),
            invoices=invoices,
            published=tuple(flow for subject in sorted(subjects) for flow in situation.published.get(subject, ())),
        )
    )


def _breach(situation: Situation, event: Event) -> Decision:
    data = event.data
    return exposure.decide(
        exposure.Breach(
            party_id=int(data["party_id"]),
            name=str(data.get("name") or data["party_id"]),
            region=event.region,
            currency=str(data["currency"]),
            latest=process_invoices.decimal(data.get("latest")) or ZERO,
            limit=process_invoices.decimal(data.get("limit_amount")),
            opened_at=datetime.fromisoformat(str(data["opened_at"])),
            cleared_at=situation.now if event.type == "exposure.cleared" else None,
        )
    )


def _treasury(facts: Fact) -> Decision | None:
    """Payments are decided always, cash only where it is short."""
    if isinstance(facts, reconciliation.Reconciliation):
        return reconciliation.decide(facts)
    if isinstance(facts, liquidity.Liquidity):
        decision = liquidity.decide(facts)
        return decision if decision.outcome == "alert" else None
    return None


def _by_party(situation: Situation) -> dict[int, list[Event]]:
    """Collections are decided once per customer and batch, however many invoices moved."""
    found: dict[int, list[Event]] = {}
    for event in situation.events:
        if event.type not in INVOICE_EVENTS:
            continue
        for customer in situation.invoices.customers_of(event):
            party = situation.party_of.get(customer)
            if party is not None:
                found.setdefault(party, []).append(event)
    return found


def _by_order(
    events: Sequence[Event], orders: Sequence[Order], signed: Mapping[str, str], rechecked: Mapping[Key, Collection[int]]
) -> dict[Key, list[Event]]:
    by_contract: dict[str, list[Key]] = {}
    known = set()
    for order in orders:
        known.add((order.source, order.key))
        if order.contract_number is not None:
            by_contract.setdefault(order.contract_number, []).append((order.source, order.key))
    found: dict[Key, list[Event]] = {}
    for event in events:
        keys: list[Key] = []
        if event.type == "contract.approved":
            keys = by_contract.get(signed.get(event.source_key, ""), [])
        elif event.type in ORDER_EVENTS:
            keys = [(event.source, event.source_key)]
        elif event.type in RECHECK_EVENTS:
            keys = [key for key, ids in rechecked.items() if event.id in ids]
        for key in keys:
            if key in known:
                found.setdefault(key, []).append(event)
    return found


_CASES = """
select c.context ->> 'source' as source, c.subject_key, array_agg(e.id) as events
from unnest(cast(:ids as bigint[]), cast(:sources as text[]), cast(:customers as text[]), cast(:regions as text[]))
     as e(id, source, customer, region)
left join canonical.identity_link l on l.source = e.source and l.source_key = e.customer
join process."case" c on c.state = 'open' and c.kind = 'credit_hold'
  and (c.party_id = l.party_id or (e.customer is null and c.region = e.region and c.context -> 'codes' ? 'stale_inputs'))
group by 1, 2
"""


def _open_cases(conn: Reading, events: Sequence[Event]) -> dict[Key, list[int]]:
    """The orders held in open cases whose customer's facts just changed, or that waited for a source that is back."""
    if not events:
        return {}
    customers = [next((name.partition(":")[2] for name in event.linked("customer")), None) for event in events]
    rows = conn.execute(
        sa.text(_CASES),
        {
            "ids": [event.id for event in events],
            "sources": [event.source for event in events],
            "customers": customers,
            "regions": [event.region for event in events],
        },
    )
    return {(row.source, row.subject_key): list(row.events) for row in rows if row.source is not None}
