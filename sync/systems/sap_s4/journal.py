"""Journal lines of the general ledger: what became of a posting, line by line, beside the customers' own accounts.

The customers' lines are the accounting items' (ledger.py, items.py), with their clearing; the lines here are all others, so that none
stands in the books twice. What a line means: postings.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from sync.ports import Cursor, Page
from sync.systems.sap_s4.absence import missing
from sync.systems.sap_s4.client import Session
from sync.systems.sap_s4.odata import text
from sync.systems.sap_s4.pages import NOTHING, by_document, page, with_last
from sync.systems.sap_s4.postings import CUSTOMERS
from sync.systems.sap_s4.reading import Reader
from sync.systems.sap_s4.settings import Settings
from sync.systems.sap_s4.walk import Query
from sync.systems.sap_s4.wire import JOURNAL_NEEDED, JOURNAL_WANTED, EntitySet

ORDER = "CompanyCode,FiscalYear,AccountingDocument,LedgerGLLineItem"


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
        mark = {"since": now.astimezone(UTC).isoformat()}
        query = Query(self._set, ORDER, by_document, " and ".join(self._conditions(cursor, now)))
        for got, last in with_last(self._reader.read(query)):
            yield page(self._set, got.body, mark if last else None, now, last=last)

    def _conditions(self, cursor: Cursor | None, now: datetime) -> list[str]:
        dialect = self._session.dialect(self._set)
        fields, _ = self._session.chosen(self._set)
        found = [f"({' or '.join(f'Ledger eq {text(ledger)}' for ledger in self._settings.ledgers)})"] if self._settings.ledgers else []
        if self._settings.company_codes:
            found.append(f"({' or '.join(f'CompanyCode eq {text(code)}' for code in self._settings.company_codes)})")
        if "FinancialAccountType" in fields:
            found.append(f"FinancialAccountType ne '{CUSTOMERS}'")
        stamps = [name for name in ("LastChangeDateTime", "CreationDateTime") if name in fields]
        if cursor is None or "since" not in cursor:
            day = now.astimezone(self._zone).date() - timedelta(days=self._settings.journal_days)
            return [*found, f"PostingDate ge {dialect.midnight(day)}"]
        since = min(datetime.fromisoformat(cursor["since"]), now) - timedelta(minutes=self._settings.look_back_minutes)
        if stamps:
            return [*found, f"({' or '.join(f'{name} ge {dialect.moment(since)}' for name in stamps)})"]
        day = since.astimezone(self._zone).date() - timedelta(days=self._settings.look_back_days)
        return [*found, f"PostingDate ge {dialect.midnight(day)}"]
