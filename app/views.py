"""What the pages about money show: plain, frozen, already cut to the person's regions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal

import polars as pl

Trend = Literal["up", "down", "flat", "none"]
Health = Literal["good", "warning", "bad", "unknown"]


class DeskError(Exception):
    """The question could not be answered; the message is fit for the person at the page, the cause is in the log under `reference`."""

    def __init__(self, message: str, *, reference: str = "") -> None:
        super().__init__(message)
        self.reference = reference


class NotAllowed(DeskError):
    """The person may not do that."""


@dataclass(frozen=True, slots=True)
class Person:
    """Who is at the desk. `regions` None means all."""

    subject: str
    name: str
    email: str | None
    roles: frozenset[str]
    regions: frozenset[str] | None

    def may(self, role: str) -> bool:
        """Whether the person has `role` (admins have all but the auditor's)."""
        return role in self.roles or ("admin" in self.roles and role != "auditor")


@dataclass(frozen=True, slots=True)
class Amount:
    """Money to show: exact, with its currency; `rate_date` when it was converted (ECB reference rates)."""

    value: Decimal
    currency: str
    rate_date: date | None = None


@dataclass(frozen=True, slots=True)
class Tile:
    """One figure of Today. `value` None with `why_missing` set when it can't be computed; `sync_share`: the part (same unit)
    that synchronisation delay did to it.
    """

    slug: str
    title: str
    value: Decimal | None
    unit: str  # an ISO currency, 'days', '%', 'count'
    why_missing: str | None
    change: Decimal | None
    change_words: str | None
    good_direction: Literal["up", "down"]
    target: Decimal | None
    health: Health
    spark: Sequence[float]
    as_of: datetime
    oldest_feed: str | None
    sync_share: Decimal | None
    definition: str
    page: str
    second_line: str | None = None


@dataclass(frozen=True, slots=True)
class HandItem:
    """Something that needs a hand, ranked by money: an exception group, an open case, a breach, a late feed."""

    kind: Literal["exceptions", "case", "breach", "feed"]
    title: str
    detail: str
    money: Amount | None
    since: datetime
    owner: str | None
    page: str
    params: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Feed:
    """One stream of one connection, as the freshness strip and the Connections page show it."""

    connection: str
    system: str
    stream: str
    region: str
    health: Health
    words: str
    newest_data_at: datetime | None
    last_success_at: datetime | None
    next_attempt_at: datetime | None
    age_seconds: int | None
    target_seconds: int
    lag_p50_seconds: float | None
    lag_p95_seconds: float | None
    records_total: int
    failures: int
    breaker_open: bool
    is_paused: bool
    last_error: str | None
    budget_used: int | None
    budget_limit: int | None
    open_exceptions: int


@dataclass(frozen=True, slots=True)
class Today:
    as_of: datetime
    tiles: Sequence[Tile]
    needs_a_hand: Sequence[HandItem]
    feeds: Sequence[Feed]


@dataclass(frozen=True, slots=True)
class ReceivablesFilter:
    """What the Receivables page is cut to; dimension: region | legal_entity | customer | country | currency."""

    regions: tuple[str, ...] = ()
    legal_entities: tuple[str, ...] = ()
    customer: str | None = None
    week: date | None = None
    dimension: str = "region"


@dataclass(frozen=True, slots=True)
class Receivables:
    """Frames (Polars): `cohorts`: week, p50, p90, p95, invoices, cleared, settled_share, group (one line per group of the dimension and 'all');
    `breakdown`: key, name, invoices, p50, p90, p95, late_share, open, overdue; `aging`: bucket, amount, disputed, count;
    `survival`: day, share_paid, share_amount_paid; `figures`: tiles of the DSO family; amounts in `currency`.
    """

    as_of: datetime
    currency: str
    rate_date: date | None
    settling: bool
    figures: Sequence[Tile]
    cohorts: pl.DataFrame
    breakdown: pl.DataFrame
    aging: pl.DataFrame
    survival: pl.DataFrame
    regions: Sequence[str]
    legal_entities: Sequence[str]


@dataclass(frozen=True, slots=True)
class CashFilter:
    regions: tuple[str, ...] = ()
    legal_entity: str | None = None
    currency: str | None = None
    cause: str | None = None  # a bar of the bridge to drill into


@dataclass(frozen=True, slots=True)
class Cash:
    """`positions`: account, legal_entity, region, currency, amount, amount_reporting, as_of_date, balance_type, source;
    `fan`: week, p10, p50, p90, minimum (running position in `currency`); `bridge`: step, amount, kind (total|cause|sync);
    `bridge_items`: the items behind the chosen cause: number, customer, expected, actual, amount, cause, connection, late_by, raw_record_id;
    `accuracy`: horizon, wape, bias, inflow (bool).
    """

    as_of: datetime
    currency: str
    rate_date: date | None
    settling: bool
    figures: Sequence[Tile]
    positions: pl.DataFrame
    fan: pl.DataFrame
    bridge: pl.DataFrame
    bridge_items: pl.DataFrame
    accuracy: pl.DataFrame
    window: tuple[date, date] | None
    notes: Sequence[str]


@dataclass(frozen=True, slots=True)
class ExposureFilter:
    regions: tuple[str, ...] = ()
    only_breached: bool = False
    party: int | None = None


@dataclass(frozen=True, slots=True)
class OrderKey:
    """A sales order as its ERP knows it: the connection and the ERP's own key."""

    source: str
    key: str


@dataclass(frozen=True, slots=True)
class Case:
    """An order or contract held for finance operations, with everything the decision saw.

    `approval`: what its approval is called; `asked_by`: the person who asked for it and can't decide it, None when a rule did.
    """

    id: int
    title: str
    customer: str | None
    region: str
    amount: Amount | None
    state: Literal["open", "approved", "rejected", "obsolete"]
    opened_at: datetime
    closed_by: str | None
    closed_at: datetime | None
    reason: str | None
    reasons: Sequence[str]
    inputs: Mapping[str, Any]
    rule: str
    rule_version: str
    effects: Sequence[str]
    approval: str = "Approve and release"
    asked_by: str | None = None
    order: OrderKey | None = None


@dataclass(frozen=True, slots=True)
class Exposure:
    """`customers`: party_id, number, name, region, exposure, credit_limit, utilisation, limit_state, overdue, open_orders, open_receivables,
    undelivered_contracts, secured; `breaches`: party_id, name, region, opened_at, cleared_at, peak, latest, limit_amount;
    `decisions`: id, decided_at, subject, customer, outcome, amount, currency, rule, reasons, region, decided_by, source, order_key (the last
    two null where the decision is about no order).
    """

    as_of: datetime
    currency: str
    rate_date: date | None
    figures: Sequence[Tile]
    customers: pl.DataFrame
    breaches: pl.DataFrame
    decisions: pl.DataFrame
    cases: Sequence[Case]


@dataclass(frozen=True, slots=True)
class WhatIf:
    """The answer to "what if this customer signed for so much more"."""

    outcome: Literal["release", "hold"]
    reasons: Sequence[str]
    before: Mapping[str, Any]
    after: Mapping[str, Any]
