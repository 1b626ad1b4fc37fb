"""How a listing is walked to its end without losing a record that moves meanwhile, whatever paging its host knows. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
import xxhash

from sync.errors import TransientError
from sync.systems.sap_s4.odata import listing
from sync.systems.sap_s4.wire import EntitySet
from sync.wire_alike import Records
from sync.wire_frames import Split

Record = Mapping[str, Any]
Position = Callable[[Record], str | None]
"""The last record of a page -> the condition under which that record and all after it are found; None: it can't say."""


@dataclass(frozen=True, slots=True)
class Query:
    """A read of an entity set in an order of its own. `after`: where to go on, so that rows that move between pages are not lost:
    no page is asked for by number unless a whole page stands at one position.
    """

    entity_set: EntitySet
    order: str
    after: Position
    where: str | None = None
    start: str | None = None


@dataclass(frozen=True, slots=True)
class Got:
    """One answer: its bytes, its records as bytes, and the first and the last of them. `following`: the host's link to the next one;
    `count`: of all that fulfil the query's conditions, where the host says it.
    """

    body: bytes
    split: Split
    first: Record | None
    last: Record | None
    following: str | None = None
    count: int | None = None


def got_of(body: bytes) -> Got:
    """An answer of a listing in either protocol. Raises DataError when it is none."""
    found = listing(body)
    records = found.split.records
    first, last = (_record(records[place]) if records else None for place in (0, -1))
    return Got(body, found.split, first, last, found.following, found.count)


def alike_at_end(got: Got, position: Position) -> int:
    """How many records at the end of an answer share the last one's position."""
    last = position(got.last) if got.last is not None else None
    for number, raw in enumerate(reversed(got.split.records)):
        record = _record(raw)
        if record is None or position(record) != last:
            return max(number, 1)
    return len(got.split.records)


class Walk:
    """Where a read stands, and what it asks for next: `position` (the condition that the last record gave), `skip`, or `link`.

    By position where the host heeds conditions; by its own links, else by number, where it shows that it does not: then it gave the
    same page for another condition. A host that neither counts nor links is asked once more, until it gives nothing new.
    """

    def __init__(self, query: Query, page_size: int) -> None:
        self._query = query
        self._page_size = page_size
        self.position = query.start
        self.skip = 0
        self.link: str | None = None
        self.done = False
        self._mode: Literal["position", "link", "number"] = "position"
        self._linked = False
        self._given = 0
        self._seen: set[bytes] = set()
        self._before: frozenset[bytes] = frozenset()

    def take(self, got: Got) -> bool:
        """Takes an answer and decides how to go on; whether it is one to pass on.

        Raises TransientError when the host repeats itself or says that there is more and gives nothing.
        """
        taken = len(got.split.records)
        self._linked = self._linked or got.following is not None
        silent = got.count is None and not self._linked
        digest = _digest(got.split)
        again = got.last is not None and digest in self._seen
        deaf = again and taken >= self._page_size and self._mode == "position" and self.position != self._query.start
        if silent and self._nothing_new(got) and not deaf:
            self.done = True
            return False
        if again:
            self._change_over(got)
            return False
        self._seen.add(digest)
        self._given += taken
        if not self._more(got, taken, silent=silent):
            self.done = True
            return True
        if taken == 0 and not got.following:
            raise TransientError(f"{self._query.entity_set.path}: the host counts more than it gives")
        self._go_on(got, taken)
        return True

    @property
    def by_position(self) -> bool:
        """Whether the next page is asked for where the last one ended, and by nothing else."""
        return self._mode == "position" and self.skip == 0 and self.link is None

    def _nothing_new(self, got: Got) -> bool:
        """Whether a host without paging of any kind has shown that there is nothing behind what it gave."""
        records = frozenset(hashlib.sha256(record).digest() for record in got.split.records)
        known = bool(self._before) and self._before.issuperset(records)
        self._before = records
        return known

    def _change_over(self, got: Got) -> None:
        """The same page again: the host does not heed our conditions. Its own link leads on, or the number of the record."""
        if self._mode != "position" or self.position == self._query.start:
            raise TransientError(f"{self._query.entity_set.path}: the host gives the same page again")
        self._mode = "link" if got.following else "number"
        self.position = self._query.start
        self.skip = 0 if got.following else self._given
        self.link = got.following

    def _more(self, got: Got, taken: int, *, silent: bool) -> bool:
        if silent:
            return taken > 0
        if self._mode == "link":
            return got.following is not None
        reached = self.skip + taken
        more = taken >= self._page_size or got.following is not None
        return more or (got.count is not None and got.count > reached)

    def _go_on(self, got: Got, taken: int) -> None:
        if self._mode == "link":
            self.link = got.following
            return
        if self._mode == "number":
            self.skip += taken
            return
        ahead = self._query.after(got.last) if got.last is not None else None
        begins = self._query.after(got.first) if got.first is not None else None
        if ahead is not None and ahead != begins:
            self.position, self.skip, self.link = ahead, 0, None
        else:  # the whole page stands at one position: only its number, or the host's own link, leads on
            self.skip = taken if ahead not in (None, self.position) else self.skip + taken
            self.position, self.link = ahead or self.position, got.following


def _digest(split: Split) -> bytes:
    records = split.records
    return xxhash.xxh3_128_digest(records.array if isinstance(records, Records) else b"".join(map(bytes, records)))


def _record(raw: msgspec.Raw | bytes) -> Record | None:
    """The record, or None when it is none: mapping says what is wrong with it."""
    try:
        found = msgspec.json.decode(bytes(raw))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return found if isinstance(found, dict) else None
