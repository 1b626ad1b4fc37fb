"""What the ways of reading share: the query for a page, the page with what has to travel with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import msgspec

from sync.connections import Connection
from sync.errors import DataError, TransientError
from sync.http import Answer
from sync.ports import Page
from sync.systems.salesforce.client import Session
from sync.systems.salesforce.place import Place
from sync.systems.salesforce.schema import Chosen
from sync.systems.salesforce.settings import Settings
from sync.systems.salesforce.wire import ASKED_HEADER, CURRENCY_HEADER, FIELDS_HEADER, KINDS_HEADER, STAMP, Reading, full_id, moment_of
from sync.wire_frames import Split, split

_KEPT = ("sforce-limit-info", "date", "sforce-locator", "sforce-numberofrecords")


@dataclass(frozen=True, slots=True)
class Asking:
    """One stream of one org being read: what of it, over which session, up to which moment (UTC)."""

    connection: Connection
    settings: Settings
    session: Session
    reading: Reading
    chosen: Chosen
    until: datetime

    @property
    def bound(self) -> datetime | None:
        """Before what a changed record must be stamped to be read; None: however young it is."""
        return self.until if self.settings.settle_seconds else None

    @property
    def look_back(self) -> timedelta:
        """How far behind the newest record held late commits are looked for."""
        return timedelta(minutes=self.settings.look_back_minutes)

    def ask(self, soql: str, *, everything: bool = True) -> Answer:
        """The first page of a query; `everything`: deleted records too."""
        verb = "queryAll" if everything else "query"
        headers = {"Sforce-Query-Options": f"batchSize={self.settings.page_size}"}
        return self.session.get(f"{self.settings.data}/{verb}", params={"q": soql}, headers=headers)

    def page(
        self,
        answer: Answer,
        name: str,
        place: Place | None,
        *,
        complete_until: datetime | None = None,
        extra: Mapping[str, str] | None = None,
        fields: tuple[str, ...] | None = None,
    ) -> Page:
        """The answer as a page whose commit makes `place` true (None: no cursor moves); `fields` are those asked for, if not the chosen."""
        headers = {key: answer.headers[key] for key in _KEPT if key in answer.headers}
        headers[FIELDS_HEADER] = ",".join(self.chosen.fields if fields is None else fields)
        headers[KINDS_HEADER] = self.chosen.kinds
        headers[ASKED_HEADER] = self.until.astimezone(UTC).isoformat()
        if self.chosen.currency is not None:
            headers[CURRENCY_HEADER] = self.chosen.currency
        headers.update(extra or {})
        cursor = None if place is None else place.cursor()
        return Page(answer.body, answer.content_type, cursor, name, headers, complete_until)

    def taken_apart(self, answer: Answer) -> Split:
        """A query's answer; TransientError when it is none: an answer was cut or is not theirs."""
        try:
            return split(answer.body, "records")
        except DataError as error:
            raise self.broken(f"{answer.place}: {error.detail}") from error

    def broken(self, words: str) -> TransientError:
        """The error for an answer that can't be gone on from."""
        return TransientError(words, connection=self.connection.name, subject=self.reading.stream)


def last_of(records: Split) -> tuple[datetime, str] | None:
    """Stamp and id of a page's last record; None when the page is empty or they can't be read."""
    if not len(records.records):
        return None
    try:
        last = msgspec.json.decode(bytes(records.records[-1]), type=dict[str, object])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    stamp, record = moment_of(last.get(STAMP)), full_id(last.get("Id"))
    return None if stamp is None or record is None else (stamp, record)
