"""Sales orders and billing documents: read in the order of their change stamp, or one by one as a webhook names them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from sync.errors import PermanentError
from sync.ports import Cursor, Page
from sync.systems.sap_s4.client import Session
from sync.systems.sap_s4.mapping import PROFORMA
from sync.systems.sap_s4.odata import text
from sync.systems.sap_s4.order import by, by_stamp
from sync.systems.sap_s4.pages import page, values_of, with_last
from sync.systems.sap_s4.presence import Present, present, present_page
from sync.systems.sap_s4.reading import Reader
from sync.systems.sap_s4.settings import Settings
from sync.systems.sap_s4.walk import Query
from sync.systems.sap_s4.wire import EntitySet, read_moment

STAMP = "LastChangeDateTime"
RECEIVABLES = f"SDDocumentCategory ne {text(PROFORMA)}"
"""Which billing documents are ours."""

UNDER_WAY = ("open", "in_process")
"""Statuses of an order that may still be deleted."""
SWEEP_MAX = 100_000
"""So many documents are compared with what is held, and no more."""


class Documents:
    """A stream of documents of one set. `where`: which of them are ours. `undone`: as what entity they are held, where one that is still under
    way may be deleted without a trace.
    """

    def __init__(
        self, settings: Settings, session: Session, entity_set: EntitySet, key: str, where: str | None = None, *, undone: str | None = None
    ) -> None:
        self._settings = settings
        self._set = entity_set
        self._key = key
        self._where = where
        self._undone = undone
        self._dialect = session.dialect(entity_set)
        self._reader = Reader(session)

    def pages(self, cursor: Cursor | None, *, now: datetime) -> Iterator[Page]:
        """Records in the order of their change, from a little before the cursor on: commits may appear late."""
        reached = min(datetime.fromisoformat(cursor["since"]), now) if cursor and "since" in cursor else None
        since = reached - timedelta(minutes=self._settings.look_back_minutes) if reached else None

        start = f"{STAMP} ge {self._dialect.moment(since)}" if since else None
        query = Query(self._set, by_stamp(STAMP, self._dialect, self._key), self._where, start, grows=True)
        sweeps = self._undone is not None and reached is not None and self._sweep_is_due(cursor, now)
        swept_at = cursor.get("swept_at") if cursor and not sweeps else now.astimezone(UTC).isoformat()
        began, moved = reached, False
        for got, last in with_last(self._reader.read(query)):
            told = [record.get(STAMP) for record in (got.first, got.last) if record]
            stamps = map(read_moment, told if got.settled else (value for (value,) in values_of(got.split.records, STAMP)))
            reached = max((at for at in (reached, *(min(at, now) for at in stamps if at)) if at), default=None)
            # Where an earlier record may still come, the next pull begins where this one did, unless it comes to its end.
            at = reached if last or got.settled else began
            mark = _cursor(at, cursor.get("swept_at") if sweeps and cursor else swept_at)
            yield page(self._set, got.body, mark if last or got.settled or moved else None, now, last=last and not sweeps)
            moved = got.settled
        if sweeps:
            yield present_page(self._set.path, self._there_are(now), _cursor(reached, swept_at), now, last=True)

    def _sweep_is_due(self, cursor: Cursor | None, now: datetime) -> bool:
        swept_at = cursor.get("swept_at") if cursor else None
        return swept_at is None or not now - timedelta(hours=self._settings.full_hours) < datetime.fromisoformat(swept_at) <= now

    def _there_are(self, now: datetime) -> list[Present]:
        """That there are these documents and no others that are under way: what is complete may have been archived. Nothing is said where
        there are more than can be compared, or where the host does not take the question: all else is read, and goes on.
        """
        assert self._undone is not None  # noqa: S101  (asked for only where it is named)
        keys: set[str] = set()
        numbers = EntitySet(self._set.service, self._set.name, needed=(self._key,))
        try:
            for got in self._reader.read(Query(numbers, by(self._key), self._where)):
                found = values_of(got.split.records, self._key)
                keys.update(value for (value,) in found)
                if len(found) < len(got.split.records) or max(len(keys), got.count or 0) > SWEEP_MAX:
                    return []
        except PermanentError:
            return []
        return [present(self._undone, keys, now, only={"status": UNDER_WAY})]

    def again(self, keys: Sequence[str], *, now: datetime) -> Iterator[Page]:
        """These records as they are now. One that the host no longer has is left as it is, if it is one of those that are archived and not
        undone.
        """
        found: set[str] = set()
        wanted = [f"{self._key} eq {text(key)}" for key in keys]
        for got in self._reader.find(self._set, wanted, order=by(self._key), where=self._where):
            if got.split.records:
                found.update(value for (value,) in values_of(got.split.records, self._key))
                yield page(self._set, got.body, None, now, last=False)
        lost = set(keys) - found
        if lost and self._undone is not None:
            word = present(self._undone, (), now, among=lost, only={"status": UNDER_WAY})
            yield present_page(self._set.path, [word], None, now, last=False)


def _cursor(reached: datetime | None, swept_at: str | None) -> dict[str, str]:
    """Where the next pull begins; at the beginning as long as nothing was ever read: it may be that we are not let see it yet."""
    swept = {"swept_at": swept_at} if swept_at else {}
    return {"since": reached.astimezone(UTC).isoformat(), **swept} if reached else {}
