"""Reading an entity set to its end: page by page, by the host's links or without, several at once where the host takes $batch."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from urllib.parse import quote, urlencode

from sync.ahead import Ahead
from sync.errors import AuthError, PermanentError, QuotaError, SourceError, TransientError
from sync.http import Answer
from sync.systems.sap_s4 import batch
from sync.systems.sap_s4.client import Session
from sync.systems.sap_s4.csrf import Csrf
from sync.systems.sap_s4.order import Order, by
from sync.systems.sap_s4.passes import Passes
from sync.systems.sap_s4.walk import Got, Query, Walk, alike_at_end, got_of, two_places
from sync.systems.sap_s4.wire import EntitySet

PAGES_MAX = 100_000
BATCH_FROM = 3
"""So many reads and more go as one $batch: the first one costs a token too."""
BATCH_MAX = 40
OVERLAP = 2
"""So many records a guessed page and the one before it have in common."""
NOT_IMPLEMENTED = 501
CONDITION_CHARS = 3_000
"""Of a condition before it is quoted for an address, of which hosts take some 8,000 in all."""
_NO_BATCH: set[tuple[str, str]] = set()
"""(connection, service) of hosts that have refused a $batch: this process does not try again."""


@dataclass(frozen=True, slots=True)
class _Guess:
    """A page that was asked for by its number, behind `skip` records."""

    skip: int
    got: Got


class Reader:
    """Reads of one session."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._page_size = session.settings.page_size
        self._csrf = Csrf(session)
        self._uncounted: set[str] = set()
        self._deaf: set[str] = set()
        """Sets of which the host has shown that it does not heed what it is asked."""
        self._lock = threading.Lock()

    def read(self, query: Query, first: Got | None = None) -> Iterator[Got]:
        """The answers to a query until it has no more. `first`: its first answer, if it is here already.

        Raises TransientError when the host repeats itself, says that there is more and gives nothing, or never comes to rest.
        """
        walk: Walk | Passes = Walk(query, self._page_size)
        held: Got | None = None
        with Ahead[_Guess](self._session.settings.read_ahead - 1) as ahead:
            for number in range(PAGES_MAX):
                got = first or self._guessed(ahead, number, query, held) or self._page(query, walk)
                first = None
                new = self._taken(walk, got)
                if isinstance(walk, Walk) and walk.astray:
                    if walk.deaf:
                        self._deaf.add(query.entity_set.path)
                    fits, walk = walk.fits, Passes(query, walk.base, self._page_size)
                    new = fits and self._taken(walk, got)
                held = got
                self._guess(ahead, number + 1, query, walk, got)
                if new:
                    yield got if walk.settled else replace(got, settled=False)
                if walk.inner is not None and isinstance(walk, Walk):
                    yield from self.read(walk.inner)
                    walk.pass_over()
                    if query.entity_set.path in self._deaf:
                        walk = Passes(query, walk.base, self._page_size)
                if walk.done:
                    return
        raise TransientError(f"{query.entity_set.path}: no end after {PAGES_MAX} pages", connection=self._session.name)

    def _taken(self, walk: Walk | Passes, got: Got) -> bool:
        try:
            return walk.take(got)
        except SourceError as error:
            error.connection = self._session.name
            raise

    def find(
        self, entity_set: EntitySet, conditions: Sequence[str], together: int = 30, *, order: Order | None = None, where: str | None = None
    ) -> Iterator[Got]:
        """The records that fulfil any of the conditions, and `where` beside; some conditions in each request. `order`: by all of the
        set's keys; its first needed property, where that is its key.
        """
        parts = [f"({' or '.join(part)})" for part in _parted(conditions, together)]
        beside = f" and ({where})" if where else ""
        for got in self.read_all([Query(entity_set, order or by(entity_set.needed[0]), f"{part}{beside}") for part in parts]):
            yield from got

    def read_all(self, queries: Sequence[Query]) -> Iterator[Iterator[Got]]:
        """The answers to each of the queries, which are all of one service; their first pages come as one $batch where that pays."""
        for start in range(0, len(queries), BATCH_MAX):
            part = queries[start : start + BATCH_MAX]
            firsts = self._together(part) if len(part) >= BATCH_FROM else [None] * len(part)
            for query, first in zip(part, firsts, strict=True):
                yield self.read(query, first)

    def one(self, entity_set: EntitySet, key: str) -> Answer:
        """One record by its key predicate; 404 is returned."""
        chosen = self._session.select(entity_set)
        return self._session.get(entity_set, chosen, key=key, accept=(404,))

    def _guess(self, ahead: Ahead[_Guess], coming: int, query: Query, walk: Walk | Passes, got: Got) -> None:
        """Asks for pages behind the `coming` one, by their number from where that one will begin: each begins with the last two records
        of the one before. Only where the host gives full pages and says how many records there are, so that none is asked for in vain.
        """
        taken, step = len(got.split.records), self._page_size - OVERLAP
        leads = isinstance(walk, Walk) and not walk.done and walk.inner is None
        if not leads or got.following or got.count is None or taken < self._page_size or step <= 0:
            ahead.forget()
            return
        # A position finds every record that has it; a guess that is under way begins with the last two alone.
        alike = alike_at_end(got, query)
        before, left = alike - OVERLAP if ahead.expects(coming) else 0, got.count - taken + alike
        while (number := ahead.following(coming)) is not None and left > (skip := (number - coming) * step + before) + OVERLAP:
            ahead.ask(number, partial(self._ask, query, walk.position, skip))

    def _ask(self, query: Query, position: str | None, skip: int) -> _Guess:
        return _Guess(skip, got_of(self._session.get(query.entity_set, self._params(query, position, skip)).body))

    def _guessed(self, ahead: Ahead[_Guess], number: int, query: Query, held: Got | None) -> Got | None:
        """The page of this number, if it was guessed and is what would have been asked for: it begins with the last two records of the
        page before, at two places, so that nothing was lost between them, moved away before them, or may stand before the second one
        in one answer and behind it in another. It counts what is left from there.
        """
        guess = ahead.take(number)
        if guess is None or held is None:
            return None
        got, records = guess.got, guess.got.split.records
        ends = [bytes(record) for record in held.split.records[-OVERLAP:]]
        if (
            got.following is None
            and got.count is not None
            and [bytes(one) for one in records[:OVERLAP]] == ends
            and two_places(held, query)
        ):
            left = got.count - guess.skip - len(records)
            if left == 0 or (left > 0 and len(records) == self._page_size):
                return replace(got, count=len(records) + left, overlaps=True)
        ahead.forget()
        return None

    def _page(self, query: Query, walk: Walk | Passes) -> Got:
        entity_set = query.entity_set
        if walk.link:
            return self._safe(entity_set, got_of(self._session.follow(entity_set, walk.link).body))
        for _ in range(len(entity_set.needed) + len(entity_set.wanted) + len(entity_set.expand) + 2):
            try:
                answer = self._session.get(entity_set, self._params(query, walk.position, walk.skip))
                return self._safe(entity_set, got_of(answer.body))
            except PermanentError as error:
                if self._without_count(entity_set, error) or self._session.learn(entity_set, error):
                    continue
                raise
        raise PermanentError(f"{entity_set.path}: the host refuses one property after the other", connection=self._session.name)

    def _safe(self, entity_set: EntitySet, got: Got) -> Got:
        """The answer, whose link, followed or not, must not lead to another host."""
        if got.following:
            self._session.own(entity_set, got.following)
        return got

    def _without_count(self, entity_set: EntitySet, error: PermanentError) -> bool:
        """Whether the host refuses to count, which we then no longer ask for."""
        named = error.status in (400, 501) and any(word in error.detail for word in ("inlinecount", "$count"))
        if not named or entity_set.path in self._uncounted:
            return False
        self._uncounted.add(entity_set.path)
        return True

    def _together(self, queries: Sequence[Query]) -> Sequence[Got | None]:
        """The first page of each query, by one $batch; None for those that are to be asked for by themselves."""
        nothing: list[Got | None] = [None] * len(queries)
        service = queries[0].entity_set.service
        if not self._takes_batch(service):
            return nothing
        root, dialect = self._session.address.root(service), self._session.dialect(queries[0].entity_set)
        targets = []
        for query in queries:
            params = self._params(query, query.start, 0)
            name = self._session.path(query.entity_set).removeprefix(f"{root}/")
            targets.append(f"{name}?{urlencode(params, quote_via=quote, safe='$')}")
        boundary = f"batch_{secrets.token_hex(12)}"
        headers = {"Content-Type": f"multipart/mixed;boundary={boundary}", "Accept": "multipart/mixed"}
        try:
            answer = self._csrf.ask(service, f"{root}/$batch", batch.write(targets, dialect.accept, boundary), headers)
            parts = batch.read(answer.headers.get("content-type", ""), answer.body)
            if len(parts) != len(queries):
                raise TransientError(f"{answer.place}: {len(parts)} answers to {len(queries)} questions")
        except (AuthError, QuotaError):
            raise
        except SourceError as error:
            if not isinstance(error, TransientError) or error.status in (None, NOT_IMPLEMENTED):
                with self._lock:
                    _NO_BATCH.add((self._session.name, service))
            return nothing
        # A part that was refused is asked for by itself: so its error is told, or healed, as any other.
        return [_believed(part) for part in parts]

    def _takes_batch(self, service: str) -> bool:
        said = self._session.address.service(service).batch
        if said is not None:
            return said
        if not self._session.settings.batch or (self._session.name, service) in _NO_BATCH:
            return False
        described = self._session.described(service)
        return described is None or described.batch

    def _params(self, query: Query, position: str | None, skip: int) -> dict[str, str]:
        dialect = self._session.dialect(query.entity_set)
        conditions = [f"({part})" for part in (query.where, position) if part]
        counting = dialect.counting
        if query.entity_set.path in self._uncounted:
            counting = {name: value for name, value in counting.items() if name not in ("$inlinecount", "$count")}
        params = {**self._session.select(query.entity_set), **self._ordered(query), "$top": str(self._page_size), **counting}
        if conditions:
            params["$filter"] = " and ".join(conditions)
        if skip:
            params["$skip"] = str(skip)
        return params

    def _ordered(self, query: Query) -> dict[str, str]:
        """$orderby, of the properties that this release has."""
        fields, _ = self._session.chosen(query.entity_set)
        found = [name for level in query.order for name in level.fields if name in fields]
        return {"$orderby": ",".join(found)} if found else {}


def _parted(conditions: Sequence[str], together: int) -> Iterator[list[str]]:
    """The conditions in groups that fit into an address: so many and no more, and not longer than hosts take."""
    part: list[str] = []
    for condition in conditions:
        if part and (len(part) >= together or sum(map(len, part)) + len(condition) > CONDITION_CHARS):
            yield part
            part = []
        part.append(condition)
    if part:
        yield part


def _believed(part: batch.Part) -> Got | None:
    if part.status != 200:
        return None
    try:
        return got_of(part.body)
    except SourceError:
        return None
