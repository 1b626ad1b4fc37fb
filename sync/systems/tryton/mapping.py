"""Tryton's pages in canonical words: records by their stream, and on a sweep what is no longer there. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

import polars as pl

from sync.canonical.contracts import PaymentApplication
from sync.ports import GONE_SCHEMA, Mapped, Page, no_rejects
from sync.systems.tryton import ledger, trade
from sync.systems.tryton.given import Given
from sync.systems.tryton.ids import IdSet
from sync.systems.tryton.settings import Settings
from sync.systems.tryton.values import kinds_seen, plain_rows
from sync.systems.tryton.wire import ASKED_HEADER, FIELDS_HEADER, KNOWN_HEADER, Reading, key_of, root
from sync.wire_frames import decode, drifted, split

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
    if KNOWN_HEADER in page.headers:
        return _missed(reading, page)
    raw = decode(split(page.body, "result").records)
    asked = [name for name in page.headers.get(FIELDS_HEADER, "").split(",") if name]
    rows = plain_rows(raw)
    names = list(dict.fromkeys(root(name) for name in asked))
    plain_names = [name for name in names if not any(field.startswith(f"{name}.") for field in asked)]
    given = Given(rows, drifted(rows, ["id", *plain_names], ["id", *names]), kinds_seen(raw), settings)
    return _MAPPINGS[reading.stream](given)


def _missed(reading: Reading, page: Page) -> Mapped:
    """What was known and is not among the numbers there, of every entity that such a record feeds."""
    there = [int(bytes(number)) for number in split(page.body, "result").records]
    missed = IdSet.of(page.headers[KNOWN_HEADER]).without(there)
    at = datetime.fromisoformat(page.headers[ASKED_HEADER])
    entities = [entity for entity in reading.entities if entity != PaymentApplication.entity]
    return Mapped(len(missed), {}, no_rejects(), gone=pl.concat([_gone(reading, entity, missed, at) for entity in entities]))


def _gone(reading: Reading, entity: str, numbers: Sequence[int], at: datetime) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "ordinal": range(len(numbers)),
            "entity": [entity] * len(numbers),
            "source_key": [key_of(entity, reading.stream, number) for number in numbers],
            "source_version": [round(at.timestamp() * 1_000_000)] * len(numbers),
            "changed_at": [at] * len(numbers),
        },
        schema=GONE_SCHEMA,
    )
