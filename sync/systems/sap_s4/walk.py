"""How a listing is walked to its end without losing a record that moves meanwhile. Pure.

Each page goes on where the last record of the one before stands, by its values. Where a whole page stands at one place, all records of
that place are a listing of their own, in the order of their keys. Only a host that heeds no condition or no order is read by its own
links or by number, over and over until nothing new comes (`passes.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import msgspec
import xxhash

from sync.errors import TransientError
from sync.systems.sap_s4.odata import listing
from sync.systems.sap_s4.order import Order, Place, Record, Values, in_order, values
from sync.systems.sap_s4.wire import EntitySet
from sync.wire_alike import Records
from sync.wire_frames import Split


@dataclass(frozen=True, slots=True)
class Query:
    """A read of an entity set in an order of its own, from `start` on. `grows`: records join what the query finds, and move to its end,
    but do not leave it.
    """

    entity_set: EntitySet
    order: Order
    where: str | None = None
    start: str | None = None
    grows: bool = False
    around: Order = ()
    """Of the records of one place: the steps of the order that led to it."""

    def place(self, record: Record | None) -> Place | None:
        """Where a record stands; None where it can't say."""
        return self.order[0].place(record) if record is not None else None

    def within(self, place: Place) -> Query:
        """The records of one place, in the order of what tells them apart."""
        where = f"({self.where}) and ({place.alone})" if self.where else place.alone
        return replace(self, order=self.order[1:], where=where, start=None, grows=False, around=(*self.around, self.order[0]))

    @property
    def key(self) -> Order:
        """What tells a record from all others of its set, also from such as the query did not ask for."""
        return (*self.around, *self.order)


@dataclass(frozen=True, slots=True)
class Got:
    """One answer: its bytes, its records as bytes, and the first and the last of them. `following`: the host's link to the next one;
    `count`: of all that fulfil the query's conditions, where the host says it. `settled`: no record before it is still to come.
    `overlaps`: it begins with records of the answer before, as it was asked to.
    """

    body: bytes
    split: Split
    first: Record | None
    last: Record | None
    following: str | None = None
    count: int | None = None
    settled: bool = True
    overlaps: bool = False


def got_of(body: bytes) -> Got:
    """An answer of a listing in either protocol. Raises DataError when it is none."""
    found = listing(body)
    records = found.split.records
    first, last = (_record(records[place]) if records else None for place in (0, -1))
    return Got(body, found.split, first, last, found.following, found.count)


def alike_at_end(got: Got, query: Query) -> int:
    """How many records at the end of an answer share the last one's place."""
    last = query.place(got.last)
    for number, raw in enumerate(reversed(got.split.records)):
        record = _record(raw)
        if record is None or query.place(record) != last:
            return max(number, 1)
    return len(got.split.records)


def two_places(got: Got, query: Query) -> bool:
    """Whether the last two records of an answer stand at two places."""
    if len(got.split.records) < 2:
        return False
    last, before = query.place(got.last), query.place(_record(got.split.records[-2]))
    return last is not None and before is not None and last != before


def digest(split: Split) -> bytes:
    """What tells an answer's records from another's."""
    records = split.records
    return xxhash.xxh3_128_digest(records.array if isinstance(records, Records) else b"".join(map(bytes, records)))


class Walk:
    """Where a read stands, and what it asks for next: `position`, the condition that the last record gave.

    `inner`: the records of a place that are to be read by themselves before `pass_over` goes on behind it. `astray`: it can't go on so,
    the rest is to be read otherwise, from `base` on, and `fits` says whether the last answer is the beginning of that; `deaf`: because the
    host does not heed conditions or an order. A host that neither counts nor links is asked once more, until it gives nothing new.
    """

    def __init__(self, query: Query, page_size: int) -> None:
        self.query = query
        self._page_size = page_size
        self.position = query.start
        self.done = False
        self.inner: Query | None = None
        self.astray = False
        self.deaf = False
        self.fits = False
        self.base = query.start
        self._beyond: str | None = None
        self._linked = False
        self._due = 0
        self._after: Values | None = None
        self._opening: bytes | None = None
        self._seen: set[bytes] = set()
        self._before: frozenset[bytes] = frozenset()

    skip: int = 0
    link: str | None = None
    settled: bool = True

    def take(self, got: Got) -> bool:
        """Takes an answer and decides how to go on; whether it is one to pass on.

        Raises TransientError when the host repeats itself or says that there is more and gives nothing.
        """
        taken = len(got.split.records)
        self._linked = self._linked or got.following is not None
        silent = got.count is None and not self._linked
        mark = digest(got.split)
        again = taken > 0 and mark in self._seen
        known = silent and self._nothing_new(got)
        if again and self.position == self.query.start:
            raise TransientError(f"{self.query.entity_set.path}: the host gives the same page again")
        if self._strays(got, again=again):
            self.astray, self.deaf, self.fits = True, True, self._opening in (None, mark)
            return False
        if known:
            self.done = True
            return False
        first, self._opening = self._opening is None, self._opening or mark
        self._seen.add(mark)
        if not self._more(got, taken, silent=silent):
            self.done = True
            return first or taken > 0
        if taken == 0 and not got.following:
            raise TransientError(f"{self.query.entity_set.path}: the host counts more than it gives")
        return self._go_on(got, taken)

    def pass_over(self) -> None:
        """The records of the place have been read: goes on behind it."""
        self.inner, self.position, self._due = None, self._beyond, 0

    def _strays(self, got: Got, *, again: bool) -> bool:
        """Whether the host shows that it does not heed what it is asked: the same page for another condition, records out of order, or
        fewer left than there must be.
        """
        if again or (self.query.grows and got.count is not None and got.count < self._due):
            return True
        return not in_order(got.split, self.query.order[0], None if got.overlaps else self._after)

    def _nothing_new(self, got: Got) -> bool:
        """Whether a host without paging of any kind has shown that there is nothing behind what it gave."""
        records = frozenset(xxhash.xxh3_128_digest(bytes(record)) for record in got.split.records)
        known = bool(self._before) and self._before.issuperset(records)
        self._before = records
        return known

    def _more(self, got: Got, taken: int, *, silent: bool) -> bool:
        if silent:
            return taken > 0
        return taken >= self._page_size or got.following is not None or (got.count is not None and got.count > taken)

    def _go_on(self, got: Got, taken: int) -> bool:
        ahead, begins = self.query.place(got.last), self.query.place(got.first)
        if ahead is None:  # the last record does not say where it stands, or there is none: number or link lead on from here
            self.astray, self.base, self.fits = True, self.position, True
            return False
        self._after = values(got.last, self.query.order[0])
        if ahead != begins:
            self.position = ahead.onward
            if self.query.grows:
                self._due = (got.count or 0) - taken + alike_at_end(got, self.query)
            return True
        self._beyond, self._before = ahead.beyond, frozenset()
        if len(self.query.order) > 1:
            self.inner = self.query.within(ahead)
        else:
            self.pass_over()
        return True


def _record(raw: msgspec.Raw | bytes) -> Record | None:
    """The record, or None when it is none: mapping says what is wrong with it."""
    try:
        found: Any = msgspec.json.decode(bytes(raw))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return found if isinstance(found, dict) else None
