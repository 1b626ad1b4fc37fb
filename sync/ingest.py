"""Complete when it returns, with or without a worker: one file taken in, or one connection pulled, measures refreshed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol, cast, runtime_checkable

from db.clock import Clock
from db.money import currencies, decimals, exponent
from sync.connections import ConfigError, Connection, Landscape
from sync.ports import ControlTotal, Page, Source
from sync.promotion_batch import Counts
from sync.pull import HasEngine, PullResult, pull_stream
from sync.refreshing import refresh_measures
from sync.systems.registry import system

PREPARING_SECONDS_MAX = 3600.0


@runtime_checkable
class Readable(Protocol):
    """A source of files that can be handed one file, wherever it lies."""

    def page_of(self, path: Path) -> Page: ...


@dataclass(frozen=True, slots=True)
class IngestResult:
    """What became of a file. `refused`: why it can't be believed as a whole, in words; then nothing of it landed."""

    counts: Counts
    control_totals: tuple[ControlTotal, ...] = ()
    refused: str | None = None

    @property
    def quarantined(self) -> int:
        """How many of its records wait in the exception queue."""
        return self.counts.quarantined

    def as_document(self) -> dict[str, Any]:
        """The result in the command line's form; control totals are null where the file declares none."""
        return {**self.counts.as_dict(), "control_totals": _totals(self.control_totals)}


def _totals(totals: tuple[ControlTotal, ...]) -> dict[str, Any]:
    """`declared` and `computed` each as {"records", "amounts": {currency: text}}, or null; `agree` is false if any verdict is."""
    declared = _side([(each.currency, each.declared_count, each.declared_amount) for each in totals])
    computed = _side([(each.currency, each.computed_count, each.computed_amount) for each in totals])
    return {"declared": declared, "computed": computed, "agree": all(total.agree for total in totals)}


def _side(parts: list[tuple[str | None, int | None, Decimal | None]]) -> dict[str, Any] | None:
    records = [count for _, count, _ in parts if count is not None]
    amounts: dict[str, Decimal] = {}
    for currency, _, amount in parts:
        if amount is not None:
            amounts[currency or ""] = amounts.get(currency or "", Decimal(0)) + amount
    if not records and not amounts:
        return None
    shown = {currency: _plain(amount, currency) for currency, amount in amounts.items()}
    return {"records": sum(records) if records else None, "amounts": shown}


def _plain(amount: Decimal, currency: str) -> str:
    """All digits that count, at least as many decimals as the currency has."""
    places = exponent(currency) if currency in currencies() else 0
    return f"{amount:.{max(places, decimals(amount))}f}"


@dataclass(frozen=True, slots=True)
class Pulled:
    """How the pull of one stream went, for the command line."""

    stream: str
    state: str
    received: int
    promoted: int
    unchanged: int
    duplicates: int
    superseded: int
    quarantined: int
    pages: int
    error: str | None


@contextmanager
def opened_source(connection: Connection, landscape: Landscape) -> Iterator[Source]:
    """The connection's source, closed at the end."""
    with closing(system(connection).make_source(connection, landscape)) as source:
        yield source


def ingest_file(database: HasEngine, landscape: Landscape, connection: Connection, path: Path, *, clock: Clock) -> IngestResult:
    """Takes the file at `path` in, as if it had been dropped for `connection`, and refreshes the measures.

    The stream's cursor stays where it is, the file stays where it lies. The same file again changes nothing and counts as
    duplicates. Raises ConfigError when the connection does not read files, SourceError when the file can't be read.
    """
    with opened_source(connection, landscape) as source:
        if not isinstance(source, Readable):
            raise ConfigError(f"connection {connection.name} ({connection.system}) does not read files; pull it instead")
        stream = _stream_of(source, connection, path)
        page = source.page_of(path)
        result = pull_stream(database, connection, landscape, cast(Source, source), stream, clock=clock, trigger="ingest", pages=[page])
    if result.state == "busy":
        raise ConfigError(f"connection {connection.name}/{stream} is being pulled right now; try again in a moment")
    refresh_measures(database.engine, landscape, now=clock.now())
    return IngestResult(result.counts, result.control_totals, result.refused or result.error)


def _stream_of(source: Readable, connection: Connection, path: Path) -> str:
    told = getattr(source, "stream_of", None)
    if told is not None:
        return str(told(path))
    files = [stream.name for stream in cast(Source, source).streams() if stream.atomic]
    if not files:
        raise ConfigError(f"connection {connection.name} offers no stream of files")
    return files[0]


def pull_now(
    database: HasEngine, landscape: Landscape, connection: Connection, *, stream: str | None = None, full: bool = False, clock: Clock
) -> list[Pulled]:
    """Pulls one stream of `connection`, or all that are enabled in the order of their first pull, and refreshes the measures.

    Raises ConfigError for a stream that the connection does not offer.
    """
    with opened_source(connection, landscape) as source:
        offered = [each.name for each in source.streams()]
        if stream is not None and stream not in offered:
            raise ConfigError(f"connection {connection.name} offers no stream {stream!r}; it has: {', '.join(offered)}")
        wanted = [stream] if stream is not None else [name for name in offered if connection.stream(name).enabled]
        results = [_to_the_end(database, connection, landscape, source, name, clock=clock, full=full) for name in wanted]
    refresh_measures(database.engine, landscape, now=clock.now())
    return [_pulled(result) for result in results]


def _to_the_end(
    database: HasEngine, connection: Connection, landscape: Landscape, source: Source, stream: str, *, clock: Clock, full: bool
) -> PullResult:
    """Pulls until nothing is left, also past the pauses in which the system prepares what was asked for; an hour of them at most."""
    result = pull_stream(database, connection, landscape, source, stream, clock=clock, trigger="manual", full=full)
    counts, pages, deadline = result.counts, result.pages, time.monotonic() + PREPARING_SECONDS_MAX
    while result.pending is not None and time.monotonic() < deadline:
        time.sleep(result.pending.seconds)
        result = pull_stream(database, connection, landscape, source, stream, clock=clock, trigger="manual")
        counts, pages = counts + result.counts, pages + result.pages
    return replace(result, counts=counts, pages=pages)


def _pulled(result: PullResult) -> Pulled:
    counts = result.counts.as_dict()
    error = result.error or (
        f"not pulled: {result.state}" if result.state in ("busy", "paused", "waiting", "not_due", "preparing") else None
    )
    return Pulled(stream=result.stream, state=result.state, pages=result.pages, error=error, **counts)
