"""Reading a database: by record number through everything that changed since the cursor, and now and then a look for what is gone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any, Self

from sync.connections import Connection
from sync.errors import DataError, PermanentError, TransientError
from sync.http import Answer
from sync.ports import Capabilities, Cursor, Finding, Mapped, Page, Stream
from sync.strict_json import loosely
from sync.systems.tryton import probing
from sync.systems.tryton.client import Session
from sync.systems.tryton.mapping import map_page
from sync.systems.tryton.settings import Settings
from sync.systems.tryton.values import moment
from sync.systems.tryton.wire import AMONG_HEADER, ASKED_HEADER, FIELDS_HEADER, Reading, newest, readings
from sync.wire_frames import Rows, decode, split

PAGES_MAX = 100_000
ORDER = [["id", "ASC"]]
ANSWERED_WITHIN = timedelta(seconds=90)
"""An answer is older than its date by the time that making it took."""


class TrytonSource:
    """A database as a source. Cursor: see _Place."""

    def __init__(self, connection: Connection, settings: Settings, session: Session) -> None:
        self._connection = connection
        self._settings = settings
        self._session = session
        self._readings = readings(settings)
        self._fields: dict[str, frozenset[str]] = {}

    def streams(self) -> Sequence[Stream]:
        can = Capabilities(incremental=True, deletes=True, snapshot=self._settings.sweep_hours > 0)
        writes = Capabilities(incremental=True, deletes=True, snapshot=self._settings.sweep_hours > 0, writes=True)
        return [Stream(r.stream, r.entities, writes if r.model == "party.party" else can) for r in self._readings.values()]

    def pull(self, stream: str, cursor: Cursor | None, *, now: datetime) -> Iterator[Page]:
        """Pages of everything changed since the cursor, less the look-back, by record number; then, when it is time, the sweep.

        A record that changes while we read may lie behind us: the next pull begins at the moment when this one began.
        """
        reading = self._reading(stream)
        place = _Place.of(cursor, now)
        known = self._known(reading)
        since = place.since - timedelta(minutes=self._settings.look_back_minutes) if place.since else None
        for number in range(1, PAGES_MAX):
            answer, rows = self._page_of(reading, reading.domain(since, place.after, known), self._settings.page_size)
            self._advance(reading, place, rows, answer, now)
            last = rows.total < self._settings.page_size
            sweeps = last and place.sweep_is_due(self._settings.sweep_hours, now)
            if last:
                place.finish()
            done = now if last and not sweeps else None
            yield self._page(answer, reading, f"{stream} {number}", place.cursor(), done)
            if last:
                if sweeps:
                    yield self._sweep(reading, place, now)
                return

    def reread(self, stream: str, keys: Sequence[str], *, now: datetime) -> Iterator[Page]:
        """These records as they are now; one that is gone, or no longer ours, as gone. No cursor moves."""
        reading = self._reading(stream)
        wanted = [int(key) for key in keys if key.isascii() and key.isdigit()]
        size = self._settings.page_size
        for first in range(0, len(wanted), size):
            some = wanted[first : first + size]
            domain = [*reading.domain(None, None, ()), ["id", "in", some]]
            answer, _ = self._page_of(reading, domain, size)
            yield self._page(answer, reading, f"{stream} named")
            asked_at = self._asked_at(answer, now)
            answer = self._session.read(reading.model, "search", domain, 0, None, ORDER)
            yield self._list(answer, f"{stream} of those named", None, asked_at, None, some)

    def map(self, stream: str, page: Page) -> Mapped:
        """Pure; see mapping.map_page."""
        return map_page(self._reading(stream), page, self._settings)

    def calls(self) -> tuple[int, int | None]:
        """Calls used and their limit; see sync.http_gate.Budget."""
        return self._session.client.gate.budget.standing

    def close(self) -> None:
        self._session.close()

    def probe(self, *, now: datetime) -> Iterator[Finding]:
        """Address, credentials, company and clock; then per stream its fields and a first page."""
        del now  # the server's stamps are wall time
        yield from probing.server(self._session)
        for reading in self._readings.values():
            if self._connection.stream(reading.stream).enabled:
                yield from probing.stream(self._session, reading, self._settings, partial(self._page, reading=reading))

    def _reading(self, stream: str) -> Reading:
        reading = self._readings.get(stream)
        if reading is None:
            raise PermanentError(f"tryton has no stream {stream!r}; it has {', '.join(self._readings)}", connection=self._connection.name)
        return reading

    def _known(self, reading: Reading) -> frozenset[str]:
        """The fields that the model has, of those that we would ask for. PermanentError when a needed one is not there."""
        if reading.stream not in self._fields:
            try:
                said = self._session.ask(reading.model, "fields_get", reading.roots())
            except PermanentError as error:
                if error.status != 403:
                    raise
                said = dict.fromkeys(reading.roots())  # a user who may not ask may yet read: the reading itself will tell
            known = frozenset(said) if isinstance(said, dict) else frozenset()
            if missing := reading.missing(known):
                raise PermanentError(
                    f"{reading.model} has no field {', '.join(missing)}, or hides it from this user: {reading.stream} can't be read without it",
                    connection=self._connection.name,
                )
            self._fields[reading.stream] = known
        return self._fields[reading.stream]

    def _page_of(self, reading: Reading, domain: list[Any], limit: int) -> tuple[Answer, Rows]:
        answer = self._session.read(reading.model, "search_read", domain, 0, limit, ORDER, reading.asked(self._known(reading)))
        try:
            return answer, decode(split(answer.body, "result").records)
        except DataError as error:
            raise TransientError(f"{reading.model}: {error.detail}", connection=self._connection.name) from error

    def _advance(self, reading: Reading, place: _Place, rows: Rows, answer: Answer, now: datetime) -> None:
        ids = _ids(rows)
        full = rows.total >= self._settings.page_size
        if full and (not ids or (place.after is not None and max(ids) <= place.after)):
            raise TransientError(
                f"{reading.model}: the server gave records that were read before, or none that has a number; the reading goes round in circles",
                connection=self._connection.name,
            )
        place.begin(min(now, _server_time(answer) or now))
        place.advance(max(ids, default=None), newest(rows.sound, moment), now)

    def _sweep(self, reading: Reading, place: _Place, now: datetime) -> Page:
        """The numbers of everything that is ours there: what we hold beside them is gone."""
        place.swept = now
        answer = self._session.read(reading.model, "search", reading.domain(None, None, ()), 0, None, ORDER)
        return self._list(answer, f"{reading.stream} sweep", place.cursor(), self._asked_at(answer, now), now)

    def _asked_at(self, answer: Answer, now: datetime) -> datetime:
        """A moment before the answer was made, by the clock that stamps the records and by ours."""
        return min(now, (_server_time(answer) or now) - ANSWERED_WITHIN)

    def _list(
        self,
        answer: Answer,
        name: str,
        cursor: Cursor | None,
        asked_at: datetime,
        done: datetime | None,
        among: Sequence[int] | None = None,
    ) -> Page:
        """A page of record numbers. TransientError when the answer is none: what it does not name is deleted."""
        found = answer.json().get("result")
        if not isinstance(found, list) or not all(isinstance(number, int) and not isinstance(number, bool) for number in found):
            raise TransientError(f"{answer.place}: the answer is no list of record numbers", connection=self._connection.name)
        headers = {ASKED_HEADER: asked_at.astimezone(UTC).isoformat()}
        if among is not None:
            headers[AMONG_HEADER] = ",".join(map(str, among))
        return Page(answer.body, answer.content_type, cursor, name, headers, done)

    def _page(
        self, answer: Answer, reading: Reading, name: str | None = None, cursor: Cursor | None = None, done: datetime | None = None
    ) -> Page:
        headers = {FIELDS_HEADER: ",".join(reading.asked(self._known(reading)))}
        return Page(answer.body, answer.content_type, cursor, name, headers, done)


@dataclass(slots=True)
class _Place:
    """How far a stream has come. Stored: `since`, everything changed before it is held; `began`, `reach` and `after` of a pull on its way,
    when it began, the newest stamp it has seen and the last number it has read; `swept`, when everything was last looked for. UTC.
    """

    since: datetime | None
    began: datetime | None
    reach: datetime | None
    after: int | None
    swept: datetime | None

    @classmethod
    def of(cls, cursor: Cursor | None, now: datetime) -> Self:
        """The place of a stored cursor, held to `now`: a wrong clock must not hide what changes from now on."""
        held = cursor or {}

        def stamp(name: str) -> datetime | None:
            return min(datetime.fromisoformat(str(held[name])), now) if held.get(name) else None

        after = held.get("after")
        return cls(stamp("since"), stamp("began"), stamp("reach"), after if isinstance(after, int) else None, stamp("swept"))

    def begin(self, at: datetime) -> None:
        """The pull began at `at`, unless it is taken up again."""
        self.began = self.began or at

    def advance(self, last: int | None, stamp: datetime | None, now: datetime) -> None:
        """Everything up to the number `last` was read; `stamp` is the newest stamp among it."""
        if last is not None:
            self.after = last if self.after is None else max(self.after, last)
        if stamp is not None:
            held = min(stamp, now)
            self.reach = held if self.reach is None else max(self.reach, held)

    def finish(self) -> None:
        """Everything was read: from now on what changed after the newest stamp seen counts, or after the beginning, where that is earlier."""
        ends = [at for at in (self.reach, self.began) if at is not None]
        reached = min(ends) if self.reach is not None else self.since
        self.since = reached if self.since is None or reached is None else max(self.since, reached)
        self.began = self.reach = self.after = None

    def sweep_is_due(self, hours: float, now: datetime) -> bool:
        """Whether it is time to look for what is gone; the first pull has just seen everything."""
        if self.swept is None:
            self.swept = now
            return False
        return hours > 0 and now - self.swept >= timedelta(hours=hours)

    def cursor(self) -> dict[str, Any]:
        """As it is stored."""
        stamps = {
            name: at for name, at in (("since", self.since), ("began", self.began), ("reach", self.reach), ("swept", self.swept)) if at
        }
        held: dict[str, Any] = {name: at.astimezone(UTC).isoformat() for name, at in stamps.items()}
        return held | ({} if self.after is None else {"after": self.after})


def _server_time(answer: Answer) -> datetime | None:
    """The server's own clock when it answered, UTC."""
    try:
        said = parsedate_to_datetime(answer.headers.get("date", ""))
    except (TypeError, ValueError):
        return None
    return said.astimezone(UTC) if said.tzinfo is not None else None


def _ids(rows: Rows) -> list[int]:
    """The numbers of a page's records, also of those that are set apart: a page of broken records is no reason to stand still."""
    broken = [loosely(bytes(rows.raw[ordinal])) for ordinal in rows.broken]
    return [row["id"] for row in (*rows.sound, *broken) if isinstance(row, dict) and type(row.get("id")) is int]
