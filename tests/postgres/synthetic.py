"""A source that lives in memory: pages of JSON lines, of which tests decide every byte."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import polars as pl
import sqlalchemy as sa

from sync.connections import Connection, Landscape
from sync.errors import DataError
from sync.ports import GONE_SCHEMA, REJECT_SCHEMA, ControlTotal, Cursor, Mapped, Page, Stream, no_rejects

CHANGED = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
LANDSCAPE = Landscape(reporting_currency="EUR")
STREAMS = (
    Stream("customers", ("customer",)),
    Stream("orders", ("sales_order",)),
    Stream("invoices", ("invoice",)),
    Stream("files", ("customer", "invoice", "payment_application"), atomic=True),
)


def connection(name: str = "erp", **options: Any) -> Connection:
    """A connection of a system that needs no network."""
    return Connection(name=name, system=options.pop("system", "sap_s4"), region="EMEA", options=options)


@dataclass
class Database:
    """What `pull_stream` needs of an open database."""

    engine: sa.Engine


def customer(key: str, version: int = 1, **more: Any) -> dict[str, Any]:
    return {"entity": "customer", "source_key": key, "source_version": version, "number": key, "name": f"Customer {key}", **more}


def order(key: str, version: int = 1, **more: Any) -> dict[str, Any]:
    fixed = {"entity": "sales_order", "source_key": key, "source_version": version, "number": key, "customer_key": "C1"}
    return {**fixed, "net_value": "100.00", "currency": "EUR", "status": "open", "order_date": "2026-03-01", **more}


def invoice(key: str, version: int = 1, **more: Any) -> dict[str, Any]:
    fixed = {"entity": "invoice", "source_key": key, "source_version": version, "number": key, "customer_key": "C1"}
    return {**fixed, "gross": "119.00", "currency": "EUR", "issue_date": "2026-03-01", "due_date": "2026-03-31", "status": "posted", **more}


@dataclass
class MemorySource:
    """Pages by stream; a pull gives those from the cursor's number on. `before_page` may raise, wait, or change the pages."""

    pages: dict[str, list[list[dict[str, Any]]]] = field(default_factory=dict)
    before_page: Callable[[str, int], None] | None = None
    complete_until: datetime | None = None
    settled_files: list[tuple[str | None, bool, str | None]] = field(default_factory=list)
    pulled: list[tuple[str, Cursor | None]] = field(default_factory=list)

    def streams(self) -> Sequence[Stream]:
        return STREAMS

    def pull(self, stream: str, cursor: Cursor | None, *, now: datetime) -> Iterator[Page]:
        self.pulled.append((stream, cursor))
        start = int(cursor["next"]) if cursor else 0
        number = start
        while number < len(self.pages.get(stream, [])):
            if self.before_page is not None:
                self.before_page(stream, number)
            records = self.pages[stream][number]
            number += 1
            last = number == len(self.pages[stream])
            yield Page(
                body="\n".join(json.dumps(record) for record in records).encode(),
                content_type="application/jsonl",
                cursor={"next": number},
                name=f"{stream}-{number}.jsonl",
                complete_until=self.complete_until if last else None,
            )

    def map(self, stream: str, page: Page) -> Mapped:
        return mapped([json.loads(line) for line in page.body.decode().splitlines() if line])

    def settled(self, stream: str, page: Page, *, accepted: bool, reason: str | None) -> None:
        self.settled_files.append((page.name, accepted, reason))

    def close(self) -> None:
        """Holds nothing."""


def mapped(records: list[dict[str, Any]]) -> Mapped:
    """The records in canonical words; `{"refuse": cause}` refuses the page, `{"reject": cause}` the record, `{"gone": entity}` says that
    what has this key is no more.
    """
    rows: dict[str, list[dict[str, Any]]] = {}
    rejects: list[dict[str, Any]] = []
    totals: list[ControlTotal] = []
    gone: list[dict[str, Any]] = []
    for ordinal, record in enumerate(records):
        record = dict(record)
        if "refuse" in record:
            raise DataError("the file can't be believed", cause=record["refuse"], evidence={"declared": 3, "computed": 2})
        if "total" in record:
            totals.append(ControlTotal("records", "count", agree=True, declared_count=record["total"], computed_count=record["total"]))
            continue
        if "reject" in record:
            rejects.append({**dict.fromkeys(REJECT_SCHEMA), "ordinal": ordinal, "entity": "invoice", "source_key": record["source_key"],
                            "cause": record["reject"], "message": "said by the mapping", "evidence": json.dumps(record)})  # fmt: skip
            continue
        if "gone" in record:
            gone.append({"ordinal": ordinal, "changed_at": CHANGED, **record, "entity": record["gone"]})
            continue
        parts = record.pop("rows", None) or [record]
        for part in parts:
            rows.setdefault(part["entity"], []).append({"ordinal": ordinal, **part})
    frames = {entity: frame(entity_rows) for entity, entity_rows in rows.items()}
    refused = pl.DataFrame(rejects, schema=REJECT_SCHEMA) if rejects else no_rejects()
    seen = {name: "null" if value is None else type(value).__name__ for record in records for name, value in record.items()}
    return Mapped(len(records), frames, refused, tuple(totals), seen, pl.DataFrame(gone, schema=GONE_SCHEMA))


_AMOUNTS = ("gross", "net_value", "amount", "limit_amount", "value", "tax")


def frame(rows: list[dict[str, Any]]) -> pl.DataFrame:
    """Rows of one entity as the mapping of a real adapter would give them."""
    columns = sorted({name for row in rows for name in row} - {"entity"})
    data: dict[str, pl.Series] = {}
    for name in columns:
        values = [row.get(name) for row in rows]
        if name in _AMOUNTS:
            data[name] = pl.Series([None if v is None else Decimal(v) for v in values], dtype=pl.Decimal(19, 4))
        elif name.endswith(("_date", "_on")):
            data[name] = pl.Series([None if v is None else date.fromisoformat(v) for v in values], dtype=pl.Date)
        elif name.endswith("_at"):
            data[name] = pl.Series([None if v is None else datetime.fromisoformat(v) for v in values], dtype=pl.Datetime("us", "UTC"))
        elif name in ("ordinal", "source_version"):
            data[name] = pl.Series(values, dtype=pl.Int64)
        else:
            data[name] = pl.Series(values, dtype=pl.Boolean if name.startswith("is_") else pl.String)
    made = pl.DataFrame(data)
    stamps = pl.col("changed_at").fill_null(CHANGED) if "changed_at" in made.columns else pl.lit(CHANGED)
    return made.with_columns(
        changed_at=stamps,
        region=pl.col("region").fill_null("EMEA") if "region" in made.columns else pl.lit("EMEA"),
        legal_entity=pl.lit("DE01"),
    )
