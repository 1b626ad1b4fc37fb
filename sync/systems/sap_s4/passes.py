"""How a host is read that heeds no condition or no order: by its own links or by number, over and over until nothing new comes. Pure.

A record that moves pushes others over a page's border, where they are missed; another pass finds them. One pass is enough where it
was one answer, or where it held as many different records as the host counts from its beginning to its end.
"""

from __future__ import annotations

import xxhash

from sync.errors import TransientError
from sync.systems.sap_s4.order import keys_of
from sync.systems.sap_s4.walk import Got, Query, digest

PASSES_MAX = 25


class Passes:
    """Where such a read stands: `link`, or `skip` records behind `position`."""

    def __init__(self, query: Query, base: str | None, page_size: int) -> None:
        self.query = query
        self.position = base
        self.skip = 0
        self.link: str | None = None
        self.done = False
        self._page_size = page_size
        self._linked = False
        self._known: set[bytes] = set()
        self._keys: set[object] = set()
        self._count: int | None = None
        self._passes = 0
        self._begin()

    settled: bool = False
    inner: Query | None = None
    astray: bool = False

    def take(self, got: Got) -> bool:
        """Takes an answer and decides how to go on; whether it is one to pass on.

        Raises TransientError when the host repeats itself, says that there is more and gives nothing, or never comes to rest.
        """
        taken = len(got.split.records)
        self._linked = self._linked or got.following is not None
        silent = got.count is None and not self._linked
        mark = digest(got.split)
        if taken and mark in self._pages:
            if not silent:
                raise TransientError(f"{self.query.entity_set.path}: the host gives the same page again")
            self._end()  # it heeds no number either: that was all
            return False
        new = self._note(got, mark)
        self.skip, self.link = self.skip + taken, got.following
        if not self._more(got, taken, silent=silent):
            self._end()
        elif taken == 0 and not got.following:
            if not self._linked:
                raise TransientError(f"{self.query.entity_set.path}: the host counts more than it gives")
            self._end()  # its links have led through all there is
        return new

    def _begin(self) -> None:
        self._pages: set[bytes] = set()
        self._counts: set[int | None] = set()
        self._named: set[object] = set()
        self._fresh = False
        self.skip, self.link = 0, None

    def _note(self, got: Got, mark: bytes) -> bool:
        """Whether the answer holds a record that is new, or is otherwise than it was."""
        records = [xxhash.xxh3_128_digest(bytes(record)) for record in got.split.records]
        new = not self._known.issuperset(records) or not (self._passes or self._counts)  # the first one is passed on, be it empty
        self._known.update(records)
        named = zip(keys_of(got.split, self.query.key), records, strict=True)
        self._named.update(record if None in key else key for key, record in named)
        self._counts.add(got.count)
        if got.split.records:
            self._pages.add(mark)
        self._fresh = self._fresh or new
        return new

    def _more(self, got: Got, taken: int, *, silent: bool) -> bool:
        """Whether there is more. Links may end where as many records were given as were asked for at once, which need not be all."""
        if silent:
            return taken > 0
        if got.following is not None or (got.count is not None and got.count > self.skip):
            return True
        return got.count is None and taken > 0 and self.skip % self._page_size == 0

    def _end(self) -> None:
        """Ends a pass: it was the last one, or another one begins."""
        self._passes += 1
        [count] = self._counts if len(self._counts) == 1 else [None]
        # Keys of another count may be of records that are no longer there.
        self._keys = self._named if count != self._count else self._keys | self._named
        self._count = count
        whole = count is not None and len(self._keys) >= count
        quiet = self._passes > 1 and not self._fresh and (count is None or whole or self._linked) and len(self._counts) == 1
        if whole or quiet or len(self._pages) <= 1:
            self.done = True
        elif self._passes >= PASSES_MAX:
            raise TransientError(f"{self.query.entity_set.path}: its records move faster than they can be read: tried again later")
        else:
            self._begin()
