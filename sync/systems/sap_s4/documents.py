"""Sales orders and billing documents: read in the order of their change stamp, or one by one as a webhook names them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from sync.ports import Cursor, Page
from sync.systems.sap_s4.client import Session
from sync.systems.sap_s4.odata import text
from sync.systems.sap_s4.pages import page, with_last
from sync.systems.sap_s4.reading import Reader
from sync.systems.sap_s4.settings import Settings
from sync.systems.sap_s4.walk import Query, Record
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
        reached = min(datetime.fromisoformat(cursor["since"]), now) if cursor else None
        since = reached - timedelta(minutes=self._settings.look_back_minutes) if reached else None

        def after(last: Record) -> str | None:
            at = read_moment(last.get(STAMP))
            # The JSON has milliseconds and the host seven digits: "greater or equal" reads the last record again, "greater" might too.
            return f"{STAMP} ge {self._dialect.moment(at)}" if at is not None else None

        start = f"{STAMP} ge {self._dialect.moment(since)}" if since else None
        query = Query(self._set, f"{STAMP},{self._key}", after, self._where, start)
        for got, last in with_last(self._reader.read(query)):
            stamps = (read_moment(record.get(STAMP)) for record in (got.first, got.last) if record)
            reached = max((at for at in (reached, *(min(at, now) for at in stamps if at)) if at), default=None)
            yield page(self._set, got.body, {"since": (reached or now).astimezone(UTC).isoformat()}, now, last=last)

    def again(self, keys: Sequence[str], *, now: datetime) -> Iterator[Page]:
        """These records as they are now. One that the host no longer has is left as it is: documents are archived, not undone."""
        wanted = [f"{self._key} eq {text(key)}" for key in keys]
        for got in self._reader.find(self._set, wanted, key=self._key, where=self._where):
            if got.split.records:
                yield page(self._set, got.body, None, now, last=False)
