"""What the pages about work show: exceptions, journeys, connections, commands and their receipts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Literal

from app.views import Amount, Feed, Health, OrderKey


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
    corrected: Mapping[str, str | None] = field(default_factory=dict)
    """What people have corrected of the record since: field -> new value, None where it was emptied."""


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
    """One transaction; `orders` are those of its sales orders that a person may look at."""

    number: str
    title: str
    customer: str | None
    region: str | None
    amount: Amount | None
    hops: Sequence[Hop]
    slowest: str | None
    ocel: bytes
    """The journey as OCEL 2.0 JSON."""
    orders: Sequence[OrderKey] = ()


@dataclass(frozen=True, slots=True)
class JourneyHit:
    number: str
    kind: str
    customer: str | None
    when: datetime | date | None
    amount: Amount | None


@dataclass(frozen=True, slots=True)
class OrderChange:
    """A change of an order that a person may ask for; `effect` says what its ERP is told once another person approved."""

    kind: Literal["block_order", "approve_order", "reject_order"]
    label: str
    effect: str


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """What somebody asked of an order, and how far it has come; `settled` when nothing more will happen to it by itself."""

    case: int
    words: str
    asked_by: str
    asked_at: datetime
    reason: str
    outcome: str
    health: Health
    settled: bool


@dataclass(frozen=True, slots=True)
class SalesOrder:
    """A sales order with what a person may ask of it; `changes` is empty where its system takes none. `state`: how it stands there."""

    order: OrderKey
    number: str
    customer: str | None
    region: str
    amount: Amount | None
    state: str
    changes: Sequence[OrderChange]
    requests: Sequence[OrderRequest]


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
class EventLine:
    """What webhooks have named in a stream: when the last one came, and how many are still to be read again."""

    stream: str
    last_at: datetime
    waiting: int


@dataclass(frozen=True, slots=True)
class ConnectionView:
    """`system` is the system's proper name; `events` are there for the streams whose webhooks came lately."""

    name: str
    system: str
    region: str
    owner: str | None
    criticality: str
    feeds: Sequence[Feed]
    runs: Sequence[RunLine]
    files: Sequence[Mapping[str, Any]]
    events: Sequence[EventLine] = ()


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
    parent: int | None = None
    """Of which record it is a corrected copy."""


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
    dismiss {ids|filter, until} · edit_and_replay {id, changes} · resolve_case {case_id, approve} · request_order_change {source, order,
    change} · run_now {connection, stream?} · test_connection {connection} · pause {connection, stream?} · resume {connection, stream?} ·
    backfill {connection, stream?}
    """

    kind: str
    key: str
    payload: Mapping[str, Any]
    reason: str | None = None
