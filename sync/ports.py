"""What an adapter is: a source of pages, a pure mapping of them, and a target for our writes.

A source is pulled stream by stream with a cursor that is opaque outside its adapter. The pipeline lands each page's bytes, maps
it, promotes it and commits the page's cursor in one transaction: an adapter never sees a database.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, Protocol, runtime_checkable

import polars as pl

from sync.errors import SourceError

Cursor = Mapping[str, Any]
"""JSON-able, opaque outside the adapter that made it."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a stream can do, so that nobody asks it for more."""

    incremental: bool = True
    deletes: bool = False
    snapshot: bool = False
    hints: bool = False
    writes: bool = False
    asynchronous: bool = False


@dataclass(frozen=True, slots=True)
class Stream:
    """One pullable kind of record. `atomic`: a page is a whole file and lands all or nothing."""

    name: str
    entities: tuple[str, ...]
    capabilities: Capabilities = Capabilities()
    atomic: bool = False


ABOUT = "about"
"""The header by which a page names its subject, where more pages about the same subject will come and the newest one counts: a refusal
becomes the exception of the subject, and closes when a later page about it is believed.
"""


@dataclass(frozen=True, slots=True)
class Page:
    """The bytes of one answer or one file, as received, and the cursor that is true once they are committed.

    `cursor` None leaves the stream's cursor where it is. `name` is a file name or a path without secrets. `headers` are the
    few that matter later. `complete_until`: everything the source changed before this moment (UTC) has been pulled once this
    page is committed; given on the last page of a pull only.
    """

    body: bytes
    content_type: str
    cursor: Cursor | None
    name: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    complete_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class ControlTotal:
    """What a file says of itself against what was counted; amounts signed, per currency. `verdict` names the check."""

    subject: str
    verdict: str
    agree: bool
    currency: str | None = None
    declared_count: int | None = None
    computed_count: int | None = None
    declared_amount: Decimal | None = None
    computed_amount: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Pending:
    """The system is still preparing what was asked for: a bulk job, a process task. The pull ends well with `cursor` committed, and is
    taken up from it after `seconds`, also by another process. `words` say what is waited for.
    """

    cursor: Cursor
    seconds: float
    words: str


REJECT_SCHEMA: dict[str, pl.DataType] = {
    "ordinal": pl.Int64(),  # of the record in its page, from 0
    "entity": pl.String(),
    "source_key": pl.String(),
    "cause": pl.String(),  # a slug of sync.canonical.causes
    "field": pl.String(),
    "message": pl.String(),
    "evidence": pl.String(),  # JSON text: the offending values
    "customer_key": pl.String(),
    "amount": pl.Decimal(19, 4),
    "currency": pl.String(),
}

GONE_SCHEMA: dict[str, pl.DataType] = {
    "ordinal": pl.Int64(),  # of the record in its page, from 0
    "entity": pl.String(),
    "source_key": pl.String(),
    "source_version": pl.Int64(),
    "changed_at": pl.Datetime("us", "UTC"),
}
_NONE_GONE = pl.DataFrame(schema=GONE_SCHEMA)


def none_gone() -> pl.DataFrame:
    """An empty frame of GONE_SCHEMA."""
    return _NONE_GONE.clone()


@dataclass(frozen=True, slots=True)
class Complete:
    """A page's word that it names every record of `entity` that exists now, within bounds: those whose key, in the order of its bytes, is
    greater than `after` and not greater than `upto` (None: open), or, where it is given, those of `among`.

    What is held there and not in `present` is gone, as of `asked_at` (UTC), the moment before which it was asked. Where that is more than
    the share `gone_max` of what is held there, the word is not believed: a person has to look. A list of `among` is always believed.
    `only`: it is about the records alone of which a column of ours holds one of these texts; `since`: and that changed then or later;
    `within`: and whose key has, before its first /, one of these: the lines of these invoices.
    """

    entity: str
    present: frozenset[str]
    asked_at: datetime
    after: str | None = None
    upto: str | None = None
    among: frozenset[str] | None = None
    gone_max: float = 0.05
    only: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    since: datetime | None = None
    within: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Mapped:
    """A page in canonical words.

    `records`: how many records the page held (ordinals run from 0). `frames`: entity -> frame with `ordinal` (Int64), the
    columns source_key, source_version, legal_entity, region, changed_at, is_deleted and the entity's own columns; a missing
    own column means null/false. `rejects`: frame of REJECT_SCHEMA; a record with a reject lands in no frame. `fields_seen`:
    their field name -> kind of value, for schema drift. `gone`: frame of GONE_SCHEMA, what no longer exists there and of which the
    page knows no more than the key: what is held of it becomes deleted as it is, unless it is newer; what is not held is nothing.
    `complete`: of what the page names every record that there is.
    """

    records: int
    frames: Mapping[str, pl.DataFrame]
    rejects: pl.DataFrame
    control_totals: tuple[ControlTotal, ...] = ()
    fields_seen: Mapping[str, str] = field(default_factory=dict)
    gone: pl.DataFrame = field(default_factory=none_gone)
    complete: tuple[Complete, ...] = ()


_NO_REJECTS = pl.DataFrame(schema=REJECT_SCHEMA)


def no_rejects() -> pl.DataFrame:
    """An empty frame of REJECT_SCHEMA."""
    return _NO_REJECTS.clone()


class Source(Protocol):
    """A system we read. `pull` raises `sync.errors` types only; it may be stopped between pages at any time."""

    def streams(self) -> Sequence[Stream]:
        """The streams this connection offers, in the order in which they should be pulled first."""
        ...

    def pull(self, stream: str, cursor: Cursor | None, *, now: datetime) -> Iterator[Page | Pending]:
        """Pages from `cursor` on (None: from the beginning), oldest change first; ends when there is no more for now, or with Pending
        when the system needs time.

        `now` is business time, UTC. Every page's cursor is a safe place to go on from after a crash.
        """
        ...

    def map(self, stream: str, page: Page) -> Mapped:
        """Pure: the page in canonical words. Raises DataError when the page as a whole can't be believed."""
        ...

    def close(self) -> None:
        """Lets go of connections and handles."""
        ...


@runtime_checkable
class Rereading(Protocol):
    """A source that can be asked for single records, as a webhook names them."""

    def reread(self, stream: str, keys: Sequence[str], *, now: datetime) -> Iterator[Page]:
        """Pages with these records as they are now, a deleted one as deleted, in the same form that `pull` gives; no cursor moves."""
        ...


@runtime_checkable
class MapsTogether(Protocol):
    """A source that maps several pages at less cost than one after the other."""

    def map_together(self, stream: str, pages: Sequence[Page]) -> Sequence[Mapped]:
        """What `map` gives for each of the pages. Raises DataError when one of them can't be believed: they are then mapped alone."""
        ...


@runtime_checkable
class Filing(Protocol):
    """A source of files: told when a file is committed or refused, so that it can archive or quarantine it."""

    def settled(self, stream: str, page: Page, *, accepted: bool, reason: str | None) -> None:
        """After the commit: the file of `page` was accepted, or refused with `reason`."""
        ...


@dataclass(frozen=True, slots=True)
class Arrived:
    """A file that came: its name, and when it was taken (business time, UTC)."""

    name: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Expected:
    """A file that is expected: which (a day, a number), by when (UTC), what became of it, in a word and in words."""

    subject: str
    due: datetime
    state: Literal["expected", "received", "late", "missing"]
    words: str


@runtime_checkable
class Expecting(Protocol):
    """A source of files that knows when they are due."""

    def expected(self, stream: str, arrivals: Sequence[Arrived], *, since: datetime | None, now: datetime) -> Sequence[Expected]:
        """Pure: what was due since the stream went live, and the next to come, given the files that have come. Empty without a calendar."""
        ...


@dataclass(frozen=True, slots=True)
class Order:
    """A write to carry out, as the ledger holds it. `effect_key` is permanent and travels as the idempotency key."""

    effect_key: str
    kind: str  # as sync.effects.PREFIXES has them: release_order, publish_forecast, update_collections, block_order ...
    object_key: str
    payload: Mapping[str, Any]
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the target said, or what reading it showed. `already`: it was applied before this call."""

    outcome: Literal["applied", "already", "absent", "differs"]
    reference: str | None = None
    version: str | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)


class Target(Protocol):
    """A system we write to. Raises UnknownOutcome when a write left and no answer came."""

    def apply(self, order: Order) -> Receipt:
        """Carries the order out once; `already` when the target shows that it was."""
        ...

    def read(self, order: Order) -> Receipt:
        """Reads the target only: `already` when the order's effect is there, `absent` when not, `differs` when the world moved on."""
        ...

    def close(self) -> None: ...


@runtime_checkable
class Batching(Protocol):
    """A target that carries out up to `batch_max` orders on different objects with one call."""

    batch_max: int

    def apply_many(self, orders: Sequence[Order]) -> Sequence[Receipt | SourceError]:
        """As `Target.apply` for each order: what it would return or raise, in the orders' order. What is raised concerns them all."""
        ...


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of `connections test`: what was tried, whether it is well, and in words what is missing."""

    what: str
    ok: bool
    words: str


@runtime_checkable
class Probing(Protocol):
    """A source that can prove its address, credentials, permissions and fields."""

    def probe(self, *, now: datetime) -> Iterator[Finding]: ...


@runtime_checkable
class Metered(Protocol):
    """A source whose system counts calls."""

    def calls(self) -> tuple[int, int | None]:
        """Calls used and the limit they count against, by the system's own word or ours; None when no limit is known."""
        ...
