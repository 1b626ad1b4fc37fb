"""Everything a page may ask or command: the `Desk` protocol and the view dataclasses it hands out.

Pages, charts and widgets know this module and nothing below it. A Desk speaks for one person: what it returns is already cut to
the regions that person may see, and every command is checked again where it is carried out. `known_at` (UTC) asks for the page as
it was known at that moment; None means now.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal, Protocol

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
class Case:
    """An order or contract held for finance operations, with everything the decision saw."""

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


@dataclass(frozen=True, slots=True)
class Exposure:
    """`customers`: party_id, number, name, region, exposure, credit_limit, utilisation, limit_state, overdue, open_orders, open_receivables,
    undelivered_contracts, secured; `breaches`: party_id, name, region, opened_at, cleared_at, peak, latest, limit_amount;
    `decisions`: id, decided_at, subject, customer, outcome, amount, currency, rule, reasons, region.
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


@dataclass(frozen=True, slots=True)
class ExceptionFilter:
    """Which exceptions; empty means any. `state` 'open' means all that need somebody, 'any' leaves none out."""

    state: str = "open"
    cause: str | None = None
    connection: str | None = None
    region: str | None = None
    entity: str | None = None
    fingerprint: str | None = None
    customer: str | None = None
    text: str | None = None
    owner: str | None = None


@dataclass(frozen=True, slots=True)
class ExceptionGroup:
    cause: str
    title: str
    fingerprint: str
    severity: Literal["critical", "high", "medium", "low"]
    connection: str
    entity: str | None
    count: int
    money: Amount | None
    first_seen: datetime
    last_seen: datetime
    due_at: datetime | None
    hint: str
    states: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class ExceptionRow:
    id: int
    cause: str
    title: str
    fingerprint: str
    severity: str
    state: str
    connection: str
    region: str
    entity: str | None
    source_key: str | None
    customer: str | None
    money: Amount | None
    message: str
    first_seen: datetime
    last_seen: datetime
    occurrences: int
    attempts: int
    next_retry_at: datetime | None
    due_at: datetime | None
    owner: str | None
    dismissed_until: datetime | None
    regressed_from: str | None


@dataclass(frozen=True, slots=True)
class HistoryLine:
    at: datetime
    actor: str
    action: str
    reason: str | None
    detail: str


@dataclass(frozen=True, slots=True)
class ExceptionDetail:
    row: ExceptionRow
    hint: str
    evidence: Mapping[str, Any]
    record: str | None
    """The record's own bytes as text, as received."""
    page_name: str | None
    received_at: datetime | None
    editable: Mapping[str, str]
    history: Sequence[HistoryLine]


@dataclass(frozen=True, slots=True)
class PreviewLine:
    exception_id: int
    subject: str
    would: str
    idempotency_key: str | None
    already_applied: bool
    moved_on: str | None
    money: Amount | None


@dataclass(frozen=True, slots=True)
class Preview:
    """What a replay would do; `lines` is a sample, `total` is the whole set."""

    total: int
    would_land: int
    would_fail: int
    already_applied: int
    lines: Sequence[PreviewLine]


@dataclass(frozen=True, slots=True)
class Exceptions:
    as_of: datetime
    total: int
    money: Amount | None
    groups: Sequence[ExceptionGroup]
    rows: Sequence[ExceptionRow]
    page: int
    page_size: int


@dataclass(frozen=True, slots=True)
class Hop:
    """One step of a journey. Durations in seconds; a hop that should have happened and has not is a gap."""

    name: str
    system: str | None
    object: str | None
    occurred_at: datetime | date | None
    recorded_at: datetime | None
    business_seconds: float | None
    integration_seconds: float | None
    human_seconds: float | None
    is_gap: bool
    words: str
    raw_record_id: int | None


@dataclass(frozen=True, slots=True)
class Journey:
    number: str
    title: str
    customer: str | None
    region: str | None
    amount: Amount | None
    hops: Sequence[Hop]
    slowest: str | None
    ocel: bytes
    """The journey as OCEL 2.0 JSON."""


@dataclass(frozen=True, slots=True)
class JourneyHit:
    number: str
    kind: str
    customer: str | None
    when: datetime | date | None
    amount: Amount | None


@dataclass(frozen=True, slots=True)
class RunLine:
    stream: str
    trigger: str
    started_at: datetime
    ended_at: datetime | None
    state: str
    pages: int
    records: int
    quarantined: int
    error: str | None


@dataclass(frozen=True, slots=True)
class ConnectionView:
    name: str
    system: str
    region: str
    owner: str | None
    criticality: str
    feeds: Sequence[Feed]
    runs: Sequence[RunLine]
    files: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Evidence:
    """The bytes behind a row: the record as received, and where it stands."""

    raw_record_id: int
    connection: str
    stream: str
    page_name: str | None
    received_at: datetime
    digest: str
    ordinal: int
    text: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a command: changes until `state` is done or failed."""

    command_id: int
    kind: str
    state: Literal["queued", "running", "done", "failed"]
    total: int
    done: int
    outcome: Mapping[str, Any] = field(default_factory=dict)
    words: str = ""


@dataclass(frozen=True, slots=True)
class Intent:
    """What a person wants done. `key` is minted when the form opens, so that a rerun or a double click sends once.

    kinds and payloads: replay_exceptions {ids? | filter?, canary?} · acknowledge {ids|filter} · assign {ids|filter, owner} ·
    dismiss {ids|filter, until} · edit_and_replay {id, changes} · resolve_case {case_id, approve} · run_now {connection, stream?} ·
    pause {connection, stream?} · resume {connection, stream?} · backfill {connection, stream?}
    """

    kind: str
    key: str
    payload: Mapping[str, Any]
    reason: str | None = None


class Desk(Protocol):
    """What a page may ask and command. Raises DeskError with words fit for a person."""

    @property
    def person(self) -> Person: ...

    def now(self) -> datetime: ...

    def rehearsal(self) -> str | None:
        """Words on the rehearsal clock when the sandbox's compressed time is in force, else None."""
        ...

    def today(self, known_at: datetime | None = None) -> Today: ...

    def receivables(self, query: ReceivablesFilter, known_at: datetime | None = None) -> Receivables: ...

    def invoices(self, query: ReceivablesFilter, known_at: datetime | None = None) -> pl.DataFrame:
        """number, customer, legal_entity, region, issue_date, due_date, cleared_on, gross, open_amount, currency, days_to_pay, is_disputed, raw_record_id."""
        ...

    def cash(self, query: CashFilter, known_at: datetime | None = None) -> Cash: ...

    def exposure(self, query: ExposureFilter, known_at: datetime | None = None) -> Exposure: ...

    def what_if(self, party: int, amount: Decimal, currency: str) -> WhatIf: ...

    def exceptions(self, query: ExceptionFilter, page: int = 0, page_size: int = 50) -> Exceptions: ...

    def exception(self, exception_id: int) -> ExceptionDetail: ...

    def preview(self, ids: Sequence[int], query: ExceptionFilter | None) -> Preview: ...

    def search(self, text: str) -> Sequence[JourneyHit]: ...

    def journey(self, number: str, known_at: datetime | None = None) -> Journey | None: ...

    def connections(self) -> Sequence[ConnectionView]: ...

    def evidence(self, raw_record_id: int) -> Evidence: ...

    def submit(self, intent: Intent) -> Receipt: ...

    def receipt(self, command_id: int) -> Receipt: ...
