"""Sales orders and billing documents: read in the order of their change stamp, or one by one as a webhook names them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from sync.ports import Cursor, Page
from sync.systems.sap_s4.client import Session
from sync.systems.sap_s4.odata import text
from sync.systems.sap_s4.order import by, by_stamp
from sync.systems.sap_s4.pages import page, values_of, with_last
from sync.systems.sap_s4.reading import Reader
from sync.systems.sap_s4.settings import Settings
from sync.systems.sap_s4.walk import Query
from sync.systems.sap_s4.wire import EntitySet, read_moment

STAMP = "LastChangeDateTime"
PROFORMA = "SDDocumentCategory ne 'U'"
"""Pro forma documents are no receivables."""


class Documents:
    """A stream of documents of one set. `where`: which of them are ours."""

    def __init__(self, settings: Settings, session: Session, entity_set: EntitySet, key: str, where: str | None = None) -> None:
        self._settings = settings
        self._set = entity_set
        self._key = key
        self._where = where
        self._dialect = session.dialect(entity_set)
        self._reader = Reader(session)

    def pages(self, cursor: Cursor | None, *, now: datetime) -> Iterator[Page]:
        """Records in the order of their change, from a little before the cursor on: commits may appear late."""
        reached = min(datetime.fromisoformat(cursor["since"]), now) if cursor and "since" in cursor else None
        since = reached - timedelta(minutes=self._settings.look_back_minutes) if reached else None

        start = f"{STAMP} ge {self._dialect.moment(since)}" if since else None
        query = Query(self._set, by_stamp(STAMP, self._dialect, self._key), self._where, start, grows=True)
        began, moved = reached, False
        for got, last in with_last(self._reader.read(query)):
            told = [record.get(STAMP) for record in (got.first, got.last) if record]
            stamps = map(read_moment, told if got.settled else (value for (value,) in values_of(got.split.records, STAMP)))
            reached = max((at for at in (reached, *(min(at, now) for at in stamps if at)) if at), default=None)
            # Where an earlier record may still come, the next pull begins where this one did, unless it comes to its end.
            at = reached if last or got.settled else began
            yield page(self._set, got.body, _cursor(at) if last or got.settled or moved else None, now, last=last)
            moved = got.settled

    def again(self, keys: Sequence[str], *, now: datetime) -> Iterator[Page]:
        """These records as they are now. One that the host no longer has is left as it is: documents are archived, not undone."""
        wanted = [f"{self._key} eq {text(key)}" for key in keys]
        for got in self._reader.find(self._set, wanted, order=by(self._key), where=self._where):
            if got.split.records:
                yield page(self._set, got.body, None, now, last=False)


def _cursor(reached: datetime | None) -> dict[str, str]:
    """Where the next pull begins; at the beginning as long as nothing was ever read: it may be that we are not let see it yet."""
    return {"since": reached.astimezone(UTC).isoformat()} if reached else {}
