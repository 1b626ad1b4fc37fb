"""Reading an org: SOQL pages by SystemModstamp with a look-back, deletes included, over a session that may end between pages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from sync.connections import Connection
from sync.errors import AuthError, DataError, PermanentError, SourceError, TransientError
from sync.http import Answer
from sync.ports import Capabilities, Cursor, Finding, Mapped, Page, Stream
from sync.systems.salesforce.answers import SessionExpired
from sync.systems.salesforce.client import Session
from sync.systems.salesforce.mapping import map_page
from sync.systems.salesforce.settings import Settings
from sync.systems.salesforce.wire import FIELDS_HEADER, Reading, newest_stamp, readings, soql
from sync.watermark import Mark
from sync.wire_frames import Split, split

SESSIONS_MAX = 4
PAGES_MAX = 100_000


class SalesforceSource:
    """An org as a source. Cursor: {"since", "reach"}, UTC; see sync.watermark.Mark."""

    def __init__(self, connection: Connection, settings: Settings, session: Session) -> None:
        self._connection = connection
        self._settings = settings
        self._session = session
        self._readings = readings(settings)
        self._chosen: dict[str, tuple[str, ...]] = {}

    def streams(self) -> Sequence[Stream]:
        can = Capabilities(incremental=True, deletes=True, writes=True)
        return [Stream(reading.stream, (reading.entity,), can) for reading in self._readings.values()]

    def pull(self, stream: str, cursor: Cursor | None, *, now: datetime) -> Iterator[Page]:
        """Pages of everything changed since the cursor, less the look-back. When the session ends between two pages the query is
        asked anew from where it had come to: its locator died with the session.
        """
        reading = self._reading(stream)
        mark = Mark.of(cursor, now)
        for _ in range(SESSIONS_MAX):
            try:
                yield from self._query(reading, mark, now)
                return
            except SessionExpired:
                continue  # the session has fetched its new token already
        raise AuthError(
            f"{stream}: {SESSIONS_MAX} sessions ended before the query was read: look at the org's session settings",
            connection=self._connection.name,
        )

    def map(self, stream: str, page: Page) -> Mapped:
        """Pure; see mapping.map_page."""
        return map_page(self._reading(stream).stream, page, self._settings)

    def calls(self) -> tuple[int, int | None]:
        """Calls used and their limit; see sync.http_gate.Budget."""
        return self._session.client.gate.budget.standing

    def close(self) -> None:
        self._session.close()

    def probe(self, *, now: datetime) -> Iterator[Finding]:
        """Address and credentials, version, then per stream: the fields this user sees, and a first page."""
        self._session.login()
        yield Finding("credentials", ok=True, words=f"{self._settings.base_url} gave a token")
        yield self._version()
        for reading in self._readings.values():
            yield self._fields(reading)
            yield self._first_page(reading, now)
        budget = self._session.client.gate.budget
        words = f"{budget.told_used} of {budget.told_limit} calls used in 24 hours" if budget.told_limit else "the org names no call limit"
        yield Finding("calls", ok=True, words=words)

    def _version(self) -> Finding:
        said = self._session.get("/services/data").json()
        offered = (
            [f"v{entry['version']}" for entry in said if isinstance(entry, dict) and "version" in entry] if isinstance(said, list) else []
        )
        wanted = self._settings.api_version
        words = (
            f"the org speaks {wanted}" if wanted in offered else f"the org does not speak {wanted}, but {', '.join(offered) or 'nothing'}"
        )
        return Finding("version", ok=wanted in offered, words=words)

    def _reading(self, stream: str) -> Reading:
        reading = self._readings.get(stream)
        if reading is None:
            raise PermanentError(
                f"salesforce has no stream {stream!r}; it has {', '.join(self._readings)}", connection=self._connection.name
            )
        return reading

    def _fields_of(self, reading: Reading) -> tuple[str, ...]:
        if reading.stream not in self._chosen:
            try:
                self._chosen[reading.stream] = reading.chosen(self._session.describe(reading.object))
            except DataError as error:
                error.connection = self._connection.name
                raise
        return self._chosen[reading.stream]

    def _query(self, reading: Reading, mark: Mark, now: datetime) -> Iterator[Page]:
        answer = self._ask(reading, mark.start(timedelta(minutes=self._settings.look_back_minutes)))
        seen: set[str] = set()
        received = 0
        for number in range(1, PAGES_MAX):
            page = self._taken_apart(answer)
            received += len(page.records)
            mark.advance(newest_stamp(answer.body), now)
            name = f"{reading.object} {number}"
            if page.beside.get("done") is True:
                total = page.beside.get("totalSize")
                if isinstance(total, int) and received < total:
                    # what is missing may lie anywhere: what came is kept, and the next pull begins again where this one did
                    yield self._page(answer, reading, name, mark.back())
                    raise TransientError(f"{name}: {received} of {total} records came", connection=self._connection.name)
                yield self._page(answer, reading, name, mark.cursor(done=True), complete_until=now)
                return
            link = page.beside.get("nextRecordsUrl")
            if not isinstance(link, str) or not link:
                raise TransientError(f"{name}: not done, and no next page is named", connection=self._connection.name)
            if link in seen:
                raise TransientError(
                    f"{name}: its next page was read before; the query goes round in circles", connection=self._connection.name
                )
            seen.add(link)
            yield self._page(answer, reading, name, mark.cursor())
            answer = self._session.get(link, renew=False)

    def _page(self, answer: Answer, reading: Reading, name: str, cursor: Cursor, *, complete_until: datetime | None = None) -> Page:
        headers = {key: answer.headers[key] for key in ("sforce-limit-info", "date") if key in answer.headers}
        headers[FIELDS_HEADER] = ",".join(self._fields_of(reading))
        return Page(answer.body, answer.content_type, cursor, name, headers, complete_until)

    def _ask(self, reading: Reading, since: datetime | None) -> Answer:
        query = soql(reading, self._fields_of(reading), since)
        headers = {"Sforce-Query-Options": f"batchSize={self._settings.page_size}"}
        return self._session.get(f"{self._settings.data}/queryAll", params={"q": query}, headers=headers)

    def _taken_apart(self, answer: Answer) -> Split:
        try:
            return split(answer.body, "records")
        except DataError as error:
            raise TransientError(f"{answer.place}: {error.detail}", connection=self._connection.name) from error

    def _fields(self, reading: Reading) -> Finding:
        what = f"{reading.object} fields"
        try:
            visible = self._session.describe(reading.object)
            chosen = reading.chosen(visible)
        except SourceError as error:
            return Finding(what, ok=False, words=error.detail)
        absent = [name for name in reading.wanted if name not in chosen]
        return Finding(what, ok=True, words=f"{len(chosen)} read" + (f"; not in this org: {', '.join(absent)}" if absent else ""))

    def _first_page(self, reading: Reading, now: datetime) -> Finding:
        what = f"{reading.stream} first page"
        try:
            query = f"{soql(reading, self._fields_of(reading), None)} LIMIT 5"
            answer = self._session.get(f"{self._settings.data}/queryAll", params={"q": query})
            mapped = map_page(reading.stream, self._page(answer, reading, what, {}), self._settings)
        except SourceError as error:
            return Finding(what, ok=False, words=error.detail)
        bad = mapped.rejects.height
        newest = newest_stamp(answer.body)
        ahead = f"; stamps lie ahead of our clock by {newest - now}" if newest and newest > now + timedelta(minutes=5) else ""
        return Finding(what, ok=not bad, words=f"{mapped.records} records read, {bad} could not be mapped{ahead}")
