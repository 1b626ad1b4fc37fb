"""Invoices by the thousand, the same every time: what the load and pull cases feed every arm with."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl

from db.bulk import content_hash
from db.schema.canonical import ENVELOPE, invoice

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
OWN = [column.name for column in invoice.columns if column.name not in ENVELOPE]


def rows(count: int, *, version: int = 1, seed: int = 7) -> Iterator[dict[str, Any]]:
    """`count` invoices as plain dictionaries, in canonical words."""
    dice = random.Random(seed)
    for number in range(count):
        gross = Decimal(dice.randrange(100, 10_000_000)).scaleb(-2)
        issued = date(2024, 1, 1) + timedelta(days=number % 730)
        yield {
            "source": "bench",
            "source_key": f"{90_000_000 + number:010d}",
            "source_version": version,
            "legal_entity": "DE01",
            "region": "EMEA",
            "changed_at": NOW - timedelta(days=730 - number % 730),
            "raw_record_id": (1 << 24) + number,
            "contract_version": 1,
            "backfilled": True,
            "is_deleted": False,
            "number": f"{90_000_000 + number:010d}",
            "order_number": f"{500_000 + number:010d}",
            "customer_key": f"{number % 5000:010d}",
            "country": "DE",
            "issue_date": issued,
            "posting_date": issued,
            "due_date": issued + timedelta(days=30),
            "gross": gross,
            "tax": (gross * Decimal("0.19")).quantize(Decimal("0.01")),
            "currency": "EUR",
            "source_open": Decimal(0),
            "status": "posted",
            "is_disputed": False,
            "dispute_reason": None,
            "is_credit": False,
            "cancelled_by": None,
            "accounting_document": f"{100_000 + number:010d}",
            "payment_reference": f"RF{number:018d}",
        }


def frame(count: int, *, version: int = 1) -> pl.DataFrame:
    """The same invoices as the frame that `db.bulk.merge` takes, hashes included."""
    money = pl.Decimal(19, 4)
    made = pl.DataFrame(
        list(rows(count, version=version)),
        schema_overrides={
            "gross": money, "tax": money, "source_open": money, "changed_at": pl.Datetime("us", "UTC"), "dispute_reason": pl.String,
            "cancelled_by": pl.String, "contract_version": pl.Int16,
        },
    )  # fmt: skip
    return made.with_columns(content_hash(made, [*OWN, "is_deleted"]).alias("content_hash"))
