"""Reading a declared application: page after page as declared, by what changed or as a whole, and what is no longer in the list."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from sync.clock_skew import clock_finding
from sync.connections import Connection, Landscape
from sync.declared.mapping import speaker_of
from sync.errors import PermanentError, SourceError
from sync.http import wall_clock
from sync.ports import Capabilities, Cursor, Finding, Mapped, Page, Stream
from sync.systems.rest import probing
from sync.systems.rest.client import Session
from sync.systems.rest.declaration import RestStream, declared
from sync.systems.rest.mapping import ASKED_HEADER, PRESENT_HEADER, WAY_HEADER, keys_of, map_page
from sync.systems.rest.paths import Each
from sync.systems.rest.reading import Got, Reading
from sync.watermark import Mark

KEYS_MAX = 100_000
"""So many keys of a whole reading are compared; a longer list is read, and nothing is found to be gone."""


class RestSource:
    """A connection of the system `rest`. Cursor: {"since", "reach"} as in sync.watermark, and {"swept"}, when the whole list was read last."""

    def __init__(self, connection: Connection, landscape: Landscape) -> None:
        """Raises ConfigError when the declaration is wrong or a secret is not named."""
        self._connection = connection
        self._application = declared(connection)
        self._speaker = speaker_of(connection, landscape)
        self._session = Session(connection, self._application)

    def streams(self) -> Sequence[Stream]:
        """One stream per declared list, in the order of the declaration; drafts are none yet."""
        return [
            Stream(
                stream.stream,
                tuple(dict.fromkeys(feed.entity for feed in stream.entities)),
                Capabilities(
                    incremental=stream.incremental is not None,
                    deletes=bool(stream.deleted)
                    or stream.only_deleted
                    or stream.parents_whole
                    or stream.sweep_hours is not None
                    or any(f.otherwise == "delete" for f in stream.entities),
                    snapshot=stream.reads_whole or stream.sweep_hours is not None,
                ),
            )
            for stream in self._application.streams
            if not stream.is_draft
        ]

    def pull(self, stream: str, cursor: Cursor | None, *, now: datetime) -> Iterator[Page]:
        """Pages of what changed since the cursor, less the look-back; of everything where the list has no incremental field, or when it is
        time to look for what is gone.
        """
        declaration = self._declaration(stream)
        if declaration.is_draft:
            raise PermanentError(
                f"{stream} is a draft, without entities: `tidegate connections test {self._connection.name}` shows what the list holds",
                connection=self._connection.name,
            )
        swept = (cursor or {}).get("swept")
        due = _is_due(declaration, swept, now)
        keys: list[str] | None = [] if due else None
        for number, got in enumerate(self._reading(declaration, cursor, now, whole=due).pages(), 1):
            page = self._page(declaration, got, f"{stream} {number}", now)
            headers = dict(page.headers)
            if keys is not None:
                found = keys_of(page, declaration, self._connection.zone)
                if got.last and found is not None and len(keys) + len(found) <= KEYS_MAX:
                    headers[PRESENT_HEADER] = json.dumps({"keys": keys, "began": now.astimezone(UTC).isoformat()})
                keys = None if found is None or len(keys) + len(found) > KEYS_MAX else [*keys, *found]
            if got.last and due:
                swept = now.astimezone(UTC).isoformat()
            moved = {**got.cursor, **({"swept": swept} if swept else {})}
            yield replace(page, cursor=moved, headers=headers, complete_until=now if got.last else None)

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
        try:
            reading = self._reading(declaration, None, now, whole=False)
            got = reading.latest()
            mapped = None if declaration.is_draft else self.map(declaration.stream, self._page(declaration, got, declaration.stream, now))
        except SourceError as error:
            yield Finding(declaration.stream, ok=False, words=error.detail)
            return
        if first:
            yield clock_finding(got.answer.headers, wall=wall_clock())
        further = probing.second_page(declaration, reading, got)
        found = probing.draft(declaration, got) if mapped is None else probing.first_page(declaration, got, mapped)
        for place, finding in enumerate(found):
            yield finding
            if place == 0:
                yield from further

    def _declaration(self, stream: str) -> RestStream:
        found = next((each for each in self._application.streams if each.stream == stream), None)
        if found is None:
            known = ", ".join(each.stream for each in self._application.streams)
            raise PermanentError(f"the connection declares no stream {stream!r}; it has: {known}", connection=self._connection.name)
        return found

    def _reading(self, declaration: RestStream, cursor: Cursor | None, now: datetime, *, whole: bool) -> Reading:
        whole = whole or declaration.reads_whole
        return Reading(self._connection, self._session, declaration, Mark.of(cursor, now), now, whole)

    def _page(self, declaration: RestStream, got: Got, name: str, now: datetime) -> Page:
        steps = declaration.way[:-1] if declaration.single else declaration.way
        way = json.dumps([step.value if isinstance(step, Each) else step for step in steps])
        headers = {ASKED_HEADER: now.astimezone(UTC).isoformat(), WAY_HEADER: way}
        return Page(got.body, got.answer.content_type, None, name, headers)


def _is_due(declaration: RestStream, swept: object, now: datetime) -> bool:
    """Whether it is time to read the whole list, to find what is gone."""
    if declaration.sweep_hours is None:
        return False
    return swept is None or not now - timedelta(hours=declaration.sweep_hours) < min(datetime.fromisoformat(str(swept)), now)
