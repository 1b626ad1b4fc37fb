"""Tryton's pages in canonical words: records by their stream, and on a sweep what is no longer there. Pure."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from sync.canonical.contracts import PaymentApplication
from sync.errors import DataError
from sync.ports import Complete, Mapped, Page, no_rejects
from sync.systems.tryton import ledger, trade
from sync.systems.tryton.given import Given
from sync.systems.tryton.settings import Settings
from sync.systems.tryton.values import kinds_seen, plain_rows
from sync.systems.tryton.wire import AMONG_HEADER, ASKED_HEADER, FIELDS_HEADER, Reading, bounds_of, key_of, root
from sync.wire_frames import decode, drifted, split
from sync.wire_rows import excerpt

_MAPPINGS: dict[str, Callable[[Given], Mapped]] = {
    "parties": trade.parties,
    "sales": trade.sales,
    "opportunities": trade.opportunities,
    "invoices": ledger.invoices,
    "receipts": ledger.receipts,
    "payments": ledger.payments,
}


def map_page(reading: Reading, page: Page, settings: Settings) -> Mapped:
    """A page of `reading`: records, or on a sweep the numbers of what is there. Raises DataError when it is neither."""
    if ASKED_HEADER in page.headers:
        return _all_there(reading, page, settings)
    raw = decode(split(page.body, "result").records)
    asked = [name for name in page.headers.get(FIELDS_HEADER, "").split(",") if name]
    rows = plain_rows(raw)
    needed = list(dict.fromkeys(root(name) for name in reading.wanted))
    single = [name for name in dict.fromkeys(map(root, asked)) if name != "party" and not any(f.startswith(f"{name}.") for f in asked)]
    given = Given(rows, drifted(rows, ["id", *single], ["id", *needed]), kinds_seen(raw), settings)
    return _MAPPINGS[reading.stream](given)


def _all_there(reading: Reading, page: Page, settings: Settings) -> Mapped:
    """The word that these numbers are all there are, for every entity that such a record feeds under its own number."""
    try:
        numbers = [int(bytes(number)) for number in split(page.body, "result").records]
    except ValueError as error:
        raise DataError(
            "the page is no list of record numbers", cause="file_unreadable", evidence={"begins": excerpt(page.body)}
        ) from error
    asked_at = datetime.fromisoformat(page.headers[ASKED_HEADER])
    among = page.headers.get(AMONG_HEADER)
    said = []
    for entity in reading.entities:
        if entity == PaymentApplication.entity:
            continue
        after, upto = bounds_of(entity, reading.stream)
        of = None if among is None else frozenset(key_of(entity, reading.stream, int(number)) for number in among.split(","))
        present = frozenset(key_of(entity, reading.stream, number) for number in numbers)
        said.append(Complete(entity, present, asked_at, after=after, upto=upto, among=of, gone_max=settings.sweep_share))
    return Mapped(0, {}, no_rejects(), complete=tuple(said))
