"""Reading a declared application: page after page as declared, by what changed or as a whole, and what is no longer in the list."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sync.clock_skew import clock_finding
from sync.connections import Connection, Landscape
from sync.declared.mapping import speaker_of
from sync.errors import DataError, PermanentError, SourceError, TransientError
from sync.http import Answer, wall_clock
from sync.ports import Capabilities, Cursor, Finding, Mapped, Page, Stream
from sync.systems.rest import paging, probing
from sync.systems.rest.client import Session
from sync.systems.rest.declaration import RestStream, declared
from sync.systems.rest.mapping import ASKED_HEADER, PRESENT_HEADER, Read, keys_of, map_page, read
from sync.systems.rest.paths import put
from sync.systems.rest.values import asked, newest
from sync.watermark import Mark

PAGES_MAX = 100_000
KEYS_MAX = 100_000
"""So many keys of a whole reading are compared; a longer list is read, and nothing is found to be gone."""


@dataclass
class _Reading:
    """One pull on its way. `keys`: of a whole reading, None where it proves nothing."""

    mark: Mark
    began: datetime
    whole: bool
    swept: str | None
    keys: list[str] | None = None
    seen: set[Any] = field(default_factory=set)

    def cursor(self, *, done: bool = False, ordered: bool = False) -> Cursor:
        """The place to go on from: on the way only where the list is ordered."""
        marked = self.mark.cursor(done=True) if done else self.mark.cursor() if ordered else self.mark.back()
        return {**marked, **({"swept": self.swept} if self.swept else {})}


class RestSource:
    """A connection of the system `rest`. Cursor: {"since", "reach"} as in sync.watermark, and {"swept"}, when the whole list was read last."""

    def __init__(self, connection: Connection, landscape: Landscape) -> None:
        """Raises ConfigError when the declaration is wrong or a secret is not named."""
        self._connection = connection
        self._application = declared(connection)
        self._speaker = speaker_of(connection, landscape)
        self._session = Session(connection, self._application)

    def streams(self) -> Sequence[Stream]:
        """One stream per declared list, in the order of the declaration."""
        return [
            Stream(
                stream.stream,
                tuple(dict.fromkeys(feed.entity for feed in stream.entities)),
                Capabilities(
                    incremental=stream.incremental is not None,
                    deletes=bool(stream.deleted) or stream.sweep_hours is not None or any(f.otherwise == "delete" for f in stream.entities),
                    snapshot=stream.reads_whole or stream.sweep_hours is not None,
                ),
            )
            for stream in self._application.streams
        ]

    def pull(self, stream: str, cursor: Cursor | None, *, now: datetime) -> Iterator[Page]:
        """Pages of what changed since the cursor, less the look-back; of everything where the list has no incremental field, or when it is
        time to look for what is gone.
        """
        declaration = self._declaration(stream)
        reading = self._begun(declaration, cursor, now)
        place = paging.first(declaration)
        since = self._asked(declaration, reading)
        for number in range(1, PAGES_MAX):
            answer, given = self._read(declaration, place, since, reading)
            following = self._following(declaration, place, answer, given)
            page = self._page(answer, f"{stream} {number}", now)
            page = self._counted(declaration, reading, page, given, now, last=following is None)
            yield page
            if following is None:
                return
            place = following

    def map(self, stream: str, page: Page) -> Mapped:
        """Pure; see mapping.map_page."""
        try:
            return map_page(page, self._declaration(stream), self._application, self._speaker)
        except SourceError as error:
            error.connection = self._connection.name
            raise

    def calls(self) -> tuple[int, int | None]:
        """Calls used and their limit; see sync.http_gate.Budget."""
        return self._session.client.gate.budget.standing

    def close(self) -> None:
        self._session.close()

    def probe(self, *, now: datetime) -> Iterator[Finding]:
        """Address and credentials, the clock, and of each stream a first page with its first record as it is mapped."""
        yield from probing.login(self._session, self._application)
        enabled = [declaration for declaration in self._application.streams if self._connection.stream(declaration.stream).enabled]
        for place, declaration in enumerate(enabled):
            yield from self._probed(declaration, now, first=place == 0)

    def _probed(self, declaration: RestStream, now: datetime, *, first: bool) -> Iterator[Finding]:
        reading = self._begun(declaration, None, now)
        place = paging.first(declaration)
        try:
            answer, given = self._read(declaration, place, self._asked(declaration, reading), reading)
            following = self._following(declaration, place, answer, given)
            page = self._page(answer, declaration.stream, now)
            mapped = self.map(declaration.stream, page)
        except SourceError as error:
            yield Finding(declaration.stream, ok=False, words=error.detail)
            return
        if first:
            yield clock_finding(answer.headers, wall=wall_clock())
        yield from probing.first_page(declaration, given, mapped, following)

    def _declaration(self, stream: str) -> RestStream:
        found = next((each for each in self._application.streams if each.stream == stream), None)
        if found is None:
            known = ", ".join(each.stream for each in self._application.streams)
            raise PermanentError(f"the connection declares no stream {stream!r}; it has: {known}", connection=self._connection.name)
        return found

    def _begun(self, declaration: RestStream, cursor: Cursor | None, now: datetime) -> _Reading:
        swept = (cursor or {}).get("swept")
        due = declaration.sweep_hours is not None and (
            swept is None or not now - timedelta(hours=declaration.sweep_hours) < min(datetime.fromisoformat(str(swept)), now)
        )
        whole = due or declaration.reads_whole
        mark = Mark.of(cursor, now)
        reading = _Reading(mark, now, whole=whole, swept=str(swept) if swept else None)
        reading.keys = [] if due else None
        return reading

    def _asked(self, declaration: RestStream, reading: _Reading) -> Mapping[str, paging.Param]:
        """From where on is asked, unless everything is read."""
        incremental = declaration.incremental
        if incremental is None:
            return {}
        start = None if reading.whole else reading.mark.start(timedelta(minutes=incremental.look_back_minutes))
        value = asked(start, incremental.format) if start is not None else incremental.initial
        if value is None:
            return {}
        counted = incremental.format in ("epoch", "epoch_ms") and incremental.template == "{value}" and value.isdigit()
        return {incremental.param: int(value) if counted else incremental.template.format(value=value)}

    def _answer(self, declaration: RestStream, place: paging.Place, since: Mapping[str, paging.Param]) -> Answer:
        """A page: what the paging says of it in the query, or of a search in its body."""
        path, params = (declaration.path, declaration.params) if place.url is None else (place.url, {})
        told = {**since, **place.params} if place.url is None else {}
        if declaration.method == "GET":
            return self._session.read(path, {**params, **{name: str(value) for name, value in told.items()}})
        search: Any = declaration.body
        for name, value in (told or since).items():
            search = put(search, name, value)
        return self._session.read(path, params, search)

    def _read(
        self, declaration: RestStream, place: paging.Place, since: Mapping[str, paging.Param], reading: _Reading
    ) -> tuple[Answer, Read]:
        if place.mark in reading.seen:
            raise self._circle(declaration)
        reading.seen.add(place.mark)
        answer = self._answer(declaration, place, since)
        if not answer.body.strip() and answer.status != 204:
            raise TransientError(f"{answer.place}: the answer is empty", connection=self._connection.name)
        try:
            given = read(answer.body, declaration, self._connection.zone)
        except DataError as error:
            words = f"{answer.place}: {error.detail}"
            raise TransientError(
                f"{words}; records = {declaration.records!r} says where they stand", connection=self._connection.name
            ) from error
        digest = hashlib.sha256(answer.body).digest()
        if given.rows.total and digest in reading.seen:
            raise self._circle(declaration)
        reading.seen.add(digest)
        return answer, given

    def _following(self, declaration: RestStream, place: paging.Place, answer: Answer, given: Read) -> paging.Place | None:
        try:
            found = paging.following(declaration, place, answer.body, answer.headers, given)
            if found is None or found.url is None:
                return found
            return replace(found, url=self._session.next_to(place.url or declaration.path, found.url))
        except SourceError as error:
            raise TransientError(f"{answer.place}: {error.detail}", connection=self._connection.name) from error

    def _counted(self, declaration: RestStream, reading: _Reading, page: Page, given: Read, now: datetime, *, last: bool) -> Page:
        """The page with the cursor that is true after it, and on the last page of a whole reading the keys of all the others."""
        incremental = declaration.incremental
        if incremental is not None:
            reading.mark.advance(newest(given.texts, incremental.column), now)
        keys, headers = reading.keys, dict(page.headers)
        if keys is not None:
            found = keys_of(page, declaration, self._connection.zone)
            reading.keys = None if found is None or len(keys) + len(found) > KEYS_MAX else [*keys, *found]
            if last and reading.keys is not None:
                headers[PRESENT_HEADER] = json.dumps({"keys": keys, "began": reading.began.astimezone(UTC).isoformat()})
            if last:
                reading.swept = now.astimezone(UTC).isoformat()
        moved = reading.cursor(done=last, ordered=incremental is not None and incremental.ordered)
        return replace(page, cursor=moved, headers=headers, complete_until=now if last else None)

    def _page(self, answer: Answer, name: str, now: datetime) -> Page:
        return Page(answer.body, answer.content_type, None, name, {ASKED_HEADER: now.astimezone(UTC).isoformat()})

    def _circle(self, declaration: RestStream) -> TransientError:
        return TransientError(
            f"{declaration.stream}: a page came that was read before: the list goes round in circles, or its end is told by something else"
            " than the declared paging says",
            connection=self._connection.name,
        )
