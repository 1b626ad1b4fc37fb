"""Credit accounts: all of them each time, since they carry no stamp of their own; what is as it was is left out."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from sync.ports import Cursor, Page
from sync.systems.sap_s4.client import Session
from sync.systems.sap_s4.masters import map_credit
from sync.systems.sap_s4.order import by
from sync.systems.sap_s4.pages import NOTHING, page
from sync.systems.sap_s4.presence import Named, present_page
from sync.systems.sap_s4.reading import Reader
from sync.systems.sap_s4.settings import Settings
from sync.systems.sap_s4.walk import Query
from sync.systems.sap_s4.wire import CREDIT_NEEDED, CREDIT_WANTED, EntitySet


def credit_set(settings: Settings) -> EntitySet:
    """The entity set of credit accounts under the names that this host uses."""
    return EntitySet(settings.credit_service, settings.credit_set, CREDIT_NEEDED, CREDIT_WANTED)


class Accounts:
    """The stream of credit accounts of one connection."""

    def __init__(self, settings: Settings, session: Session) -> None:
        self._settings = settings
        self._set = credit_set(settings)
        self._reader = Reader(session)

    def pages(self, cursor: Cursor | None, *, now: datetime) -> Iterator[Page]:
        """All credit accounts: their stamp is a day and exists only for the limit. One that is not among them is there no more."""
        known: Sequence[str] = cursor.get("pages", ()) if cursor else ()
        digests: list[str] = []
        named = Named("credit_limit")
        query = Query(self._set, by("BusinessPartner", "CreditSegment"))
        for got in self._reader.read(query):
            named.add(map_credit(got.body, self._settings, now))
            digests.append(hashlib.sha256(b",".join(bytes(record) for record in got.split.records)).hexdigest()[:16])
            same = known[len(digests) - 1 : len(digests)] == digests[-1:]
            if not same:
                yield page(self._set, got.body, None, now, last=False)
        at, keys = now.astimezone(UTC).isoformat(), named.digest()
        told_at = cursor.get("told_at") if cursor and cursor.get("keys") == keys else None
        told = told_at is not None and now - timedelta(hours=self._settings.full_hours) < datetime.fromisoformat(told_at) <= now
        mark = {"read_at": at, "pages": digests, "keys": keys, "told_at": told_at if told else at}
        if told:  # nothing is missing that was there the last time
            yield page(self._set, NOTHING, mark, now, last=True)
        else:
            yield present_page(self._set.path, named.words(now), mark, now, last=True)
