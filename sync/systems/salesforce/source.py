"""Reading an org: what changed by pages or by a bulk job, deletions and ids compared from time to time, single records by webhook."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import structlog

from sync.canonical.contracts import Customer, CustomerMerge
from sync.connections import Connection
from sync.errors import PermanentError
from sync.ports import Capabilities, Cursor, Finding, Mapped, Page, Pending, Stream
from sync.systems.salesforce import bulk, probe
from sync.systems.salesforce.changes import TooMany, changes
from sync.systems.salesforce.client import Session
from sync.systems.salesforce.mapping import map_page
from sync.systems.salesforce.pages import Asking
from sync.systems.salesforce.place import Place
from sync.systems.salesforce.schema import ABSENT_FOR, Schema
from sync.systems.salesforce.settings import Settings
from sync.systems.salesforce.upkeep import deletions, sweep
from sync.systems.salesforce.wire import AMONG_HEADER, Reading, full_id, readings, soql_of_ids

REREAD_IDS = 200
_log = structlog.get_logger(__name__)
_OUT_OF_DATE = ("INVALID_FIELD", "INVALID_TYPE")


class SalesforceSource:
    """An org as a source. Cursor: see place.Place."""

    def __init__(self, connection: Connection, settings: Settings, session: Session) -> None:
        self._connection = connection
        self._settings = settings
        self._session = session
        self._schema = Schema(connection, session)
        self._readings = readings(settings)
        self._refused: dict[str, datetime] = {}

    def streams(self) -> Sequence[Stream]:
        """Every object that is read; only accounts are written."""
        return [
            Stream(
                reading.stream,
                (reading.entity, CustomerMerge.entity) if reading.entity == Customer.entity else (reading.entity,),
                Capabilities(incremental=True, deletes=True, hints=True, writes=reading.object == "Account", asynchronous=True),
            )
            for reading in self._readings.values()
        ]

    def pull(self, stream: str, cursor: Cursor | None, *, now: datetime) -> Iterator[Page | Pending]:
        """Pages of everything changed since the cursor, less the look-back, up to a minute ago; Pending while a bulk job is prepared.

        A stream of an object that the org does not have ends at once. Raises `sync.errors` types only.
        """
        reading = self._reading(stream)
        asking = self._asking(reading, now)
        if asking is None:
            return
        try:
            yield from self._pull(asking, Place.of(cursor, now))
        except PermanentError as error:
            if error.code in _OUT_OF_DATE:
                self._schema.forget(reading)  # a field went away since it was described: the next pull asks anew
            if error.code == "INVALID_TYPE" and reading.optional:
                self._schema.lacks(reading, now=now)  # described, but switched off for queries
                return
            raise

    def map(self, stream: str, page: Page) -> Mapped:
        """Pure; see mapping.map_page."""
        return map_page(self._reading(stream).stream, page, self._settings)

    def calls(self) -> tuple[int, int | None]:
        """Calls used and their limit; see sync.http_gate.Budget."""
        return self._session.client.gate.budget.standing

    def close(self) -> None:
        """Ends the connections."""
        self._session.close()

    def probe(self, *, now: datetime) -> Iterator[Finding]:
        """See probe.findings; its calls may draw on the reserve, since a person waits for them."""
        session = Session(self._connection, self._settings, interactive=True)
        try:
            yield from probe.findings(self._connection, self._settings, session, now=now)
        finally:
            session.close()

    def _pull(self, asking: Asking, place: Place) -> Iterator[Page | Pending]:
        if place.finished is not None:
            bulk.discard(asking, place.finished)
            place = replace(place, finished=None, rest=True)  # what follows a job is little, or was read by it
        if place.job is not None:
            yield from bulk.take_up(asking, place)
            return
        try:
            yield from changes(asking, place)
        except TooMany:
            pending = bulk.begin(asking, place)
            if pending is not None:
                yield pending
                return
            place.rest = True
            yield from changes(asking, place)
        yield from self._upkeep(asking, place.done(asking.until))

    def _upkeep(self, asking: Asking, place: Place) -> Iterator[Page]:
        """Deletions and ids. An org that refuses the question has told its changes all the same: it is asked again in some hours."""
        for step in (deletions, sweep):
            what = f"{step.__name__} of {asking.reading.stream}"
            if what in self._refused and asking.until - self._refused[what] < ABSENT_FOR:
                continue
            try:
                for page, moved in step(asking, place):
                    place = moved
                    yield page
            except PermanentError as error:
                _log.warning("upkeep refused", connection=self._connection.name, what=what, why=error.detail)
                self._refused[what] = asking.until

    def reread(self, stream: str, keys: Sequence[str], *, now: datetime) -> Iterator[Page]:
        """These records as they are now, a deleted one as deleted; one that the org shows no more is gone. No cursor moves."""
        asking = self._asking(self._reading(stream), now)
        if asking is None:
            return
        asking = replace(asking, until=now)
        wanted = list(dict.fromkeys(full for key in keys if (full := full_id(key)) is not None))
        for at in range(0, len(wanted), REREAD_IDS):
            yield from self._named(asking, wanted[at : at + REREAD_IDS])

    def _named(self, asking: Asking, ids: Sequence[str]) -> Iterator[Page]:
        answer = asking.ask(soql_of_ids(asking.reading, asking.chosen.fields, ids))
        if asking.taken_apart(answer).beside.get("done") is not True:
            if len(ids) == 1:
                raise asking.broken(f"{asking.reading.object} {ids[0]}: more than one page came for one record")
            half = len(ids) // 2
            yield from self._named(asking, ids[:half])
            yield from self._named(asking, ids[half:])
            return
        yield asking.page(answer, f"{asking.reading.object} named", None, extra={AMONG_HEADER: ",".join(ids)})

    def _reading(self, stream: str) -> Reading:
        reading = self._readings.get(stream)
        if reading is None:
            raise PermanentError(
                f"salesforce has no stream {stream!r}; it has {', '.join(self._readings)}", connection=self._connection.name
            )
        return reading

    def _asking(self, reading: Reading, now: datetime) -> Asking | None:
        chosen = self._schema.chosen(reading, now=now)
        if chosen is None:
            return None
        until = now - timedelta(seconds=self._settings.settle_seconds)
        return Asking(self._connection, self._settings, self._session, reading, chosen, until)
