"""Journal lines of the general ledger: what became of a posting, line by line, beside the customers' own accounts.

The customers' lines are the accounting items' (ledger.py, items.py), with their clearing; the lines here are all others, so that none
stands in the books twice. What a line means: postings.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any
from zoneinfo import ZoneInfo

from sync.ports import Cursor, Page
from sync.systems.sap_s4.absence import missing
from sync.systems.sap_s4.client import Session
from sync.systems.sap_s4.odata import text
from sync.systems.sap_s4.order import by_document
from sync.systems.sap_s4.pages import NOTHING, page, values_of, with_last
from sync.systems.sap_s4.postings import CUSTOMERS
from sync.systems.sap_s4.reading import Reader
from sync.systems.sap_s4.settings import Settings
from sync.systems.sap_s4.walk import Query
from sync.systems.sap_s4.wire import JOURNAL_NEEDED, JOURNAL_WANTED, EntitySet, read_moment

STAMPS = ("LastChangeDateTime", "CreationDateTime")
ORDER = by_document("Ledger", "LedgerGLLineItem")


def journal_set(settings: Settings) -> EntitySet:
    """The entity set of journal lines under the names that this host uses."""
    return EntitySet(settings.journal_service, settings.journal_set, JOURNAL_NEEDED, JOURNAL_WANTED)


class Journal:
    """The stream of journal lines of one connection."""

    def __init__(self, settings: Settings, session: Session) -> None:
        self._settings = settings
        self._session = session
        self._set = journal_set(settings)
        self._reader = Reader(session)
        self._zone = ZoneInfo(settings.zone)

    def pages(self, cursor: Cursor | None, *, now: datetime) -> Iterator[Page]:
        """Lines posted or changed since the cursor, at first those of the last months. A host that has no such service gives none."""
        if missing(self._session, self._set, cursor):
            yield page(self._set, NOTHING, {"absent_at": now.astimezone(UTC).isoformat()}, now, last=True)
            return
        reached = min(datetime.fromisoformat(cursor["since"]), now) if cursor and "since" in cursor else None
        codes = self._settings.company_codes
        before = cursor.get("companies", codes) if cursor else codes
        added = [code for code in codes if code not in before] if reached else []
        queries = [Query(self._set, ORDER, " and ".join(self._conditions(reached, codes, now)))]
        if added:  # its books are read from the beginning, as the others' were
            queries.insert(0, Query(self._set, ORDER, " and ".join(self._conditions(None, added, now))))
        seen = reached is not None
        for got, last in with_last(chain.from_iterable(map(self._reader.read, queries))):
            told = (read_moment(value) for name in STAMPS for (value,) in values_of(got.split.records, name))
            reached = max((at for at in (reached, *(min(at, now) for at in told if at)) if at), default=None)
            seen = seen or len(got.split.records) > 0
            yield page(self._set, got.body, self._mark(reached, now, seen=seen) if last else None, now, last=last)

    def _mark(self, reached: datetime | None, now: datetime, *, seen: bool) -> dict[str, Any]:
        """Where the next pull begins; at the beginning as long as no line was ever read: it may be that we are not let see any yet."""
        if not seen:
            return {}
        return {"since": (reached or now).astimezone(UTC).isoformat(), "companies": list(self._settings.company_codes)}

    def _conditions(self, reached: datetime | None, codes: Sequence[str], now: datetime) -> list[str]:
        dialect = self._session.dialect(self._set)
        fields, _ = self._session.chosen(self._set)
        found = [f"({' or '.join(f'Ledger eq {text(ledger)}' for ledger in self._settings.ledgers)})"] if self._settings.ledgers else []
        if codes:
            found.append(f"({' or '.join(f'CompanyCode eq {text(code)}' for code in codes)})")
        if "FinancialAccountType" in fields:
            found.append(f"FinancialAccountType ne '{CUSTOMERS}'")
        stamps = [name for name in STAMPS if name in fields]
        if reached is None:
            day = now.astimezone(self._zone).date() - timedelta(days=self._settings.journal_days)
            return [*found, f"PostingDate ge {dialect.midnight(day)}"]
        since = reached - timedelta(minutes=self._settings.look_back_minutes)
        if stamps:
            return [*found, f"({' or '.join(f'{name} ge {dialect.moment(since)}' for name in stamps)})"]
        day = since.astimezone(self._zone).date() - timedelta(days=self._settings.look_back_days)
        return [*found, f"PostingDate ge {dialect.midnight(day)}"]
