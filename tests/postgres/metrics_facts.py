"""Canonical facts for tests of the measures, put where promotion puts them: newest in the table, others in its history."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from db.engine import Writing, driver
from db.schema import canonical

START = datetime(2026, 1, 1, tzinfo=UTC)


class Facts:
    """Writes facts on one connection and leaves the marks that promotion would."""

    def __init__(self, conn: Writing) -> None:
        self.conn = conn

    def put(self, entity: str, key: str, **columns: Any) -> None:
        """One version of one record: it becomes current if it is the newest, else it goes to the history.

        Left out, `source` is erp, `version` 1, `region` EMEA, `changed_at` START and `recorded_at` the same as changed.
        """
        source, version, changed_at = columns.pop("source", "erp"), columns.pop("version", 1), columns.pop("changed_at", START)
        table, history = canonical.ENTITIES[entity], canonical.history_of(entity)
        row = {
            "source": source,
            "source_key": key,
            "source_version": version,
            "content_hash": version,
            "region": "EMEA",
            "changed_at": changed_at,
            "recorded_at": changed_at,
            "raw_record_id": 0,
            "contract_version": 1,
            **columns,
        }
        mine = sa.and_(table.c.source == source, table.c.source_key == key)
        current = self.conn.execute(sa.select(table).where(mine)).mappings().one_or_none()
        if current is not None and current["source_version"] > version:
            self.conn.execute(history.insert().values(**row, superseded_at=row["recorded_at"]))
        else:
            if current is not None:
                self.conn.execute(history.insert().values(**current, superseded_at=row["recorded_at"]))
                self.conn.execute(table.delete().where(mine))
            self.conn.execute(table.insert().values(**row))
        self._mark(entity, source, key, columns)

    def _mark(self, entity: str, source: str, key: str, columns: dict[str, Any]) -> None:
        kinds = {"invoice": ("invoice", key), "payment_application": ("invoice", columns.get("invoice_key"))}
        if entity in ("sales_order", "credit_limit", "contract", "delivery"):
            self.mark("customer", source, str(columns["customer_key"]))
        elif entity == "customer":
            self.mark("customer", source, key)
        elif entity == "bank_balance":
            self.mark("balance", source, key)
        elif entity in kinds:
            kind, named = kinds[entity]
            self.mark(kind, source, str(named))

    def mark(self, kind: str, source: str, key: str) -> None:
        driver(self.conn).execute(
            "insert into measure.touched (kind, source, key, marked_at) values (%s, %s, %s, clock_timestamp())",
            [kind, source, key],
        )

    def customer(
        self, key: str, *, party: int, limit: str | None = None, source: str = "erp", region: str = "EMEA", **columns: Any
    ) -> None:
        """A customer linked to a party of the same number, with a valid limit in EUR if one is given."""
        self.put("customer", key, source=source, region=region, number=key, name=f"Customer {key}", country="DE", **columns)
        driver(self.conn).execute(
            "insert into canonical.party (id, name, number, country, region, recorded_at) overriding system value"
            " values (%s, %s, %s, 'DE', %s, now()) on conflict do nothing",
            [party, f"Customer {key}", key, region],
        )
        driver(self.conn).execute(
            "insert into canonical.identity_link (source, source_key, party_id, region, matched_by, confidence, recorded_at)"
            " values (%s, %s, %s, %s, 'number', 1, now())",
            [source, key, party, region],
        )
        if limit is not None:
            self.put("credit_limit", f"L{key}", source=source, region=region, customer_key=key, limit_amount=Decimal(limit), currency="EUR")

    def invoice(
        self,
        key: str,
        customer: str,
        gross: str,
        issued: date,
        *,
        terms: int = 30,
        currency: str = "EUR",
        paid: Iterable[tuple[date, str]] = (),
        **columns: Any,
    ) -> None:
        """An invoice, known the day it is issued, and its payments, each known the day it clears."""
        envelope: dict[str, Any] = {
            name: columns.pop(name) for name in ("source", "region", "legal_entity", "backfilled") if name in columns
        }
        row: dict[str, Any] = {"status": "posted", "changed_at": moment(issued), "recorded_at": moment(issued), **envelope, **columns}
        self.put(
            "invoice", key, number=key, customer_key=customer, issue_date=issued, due_date=issued + timedelta(days=terms),
            gross=Decimal(gross), currency=currency, **row,
        )  # fmt: skip
        for number, (day, amount) in enumerate(paid):
            self.put(
                "payment_application", f"{key}/{number}", invoice_key=key, customer_key=customer, amount=Decimal(amount), currency=currency,
                clearing_date=day, changed_at=moment(day), **envelope,
            )  # fmt: skip

    def rate(self, currency: str, day: date, units_per_eur: str) -> None:
        """A reference rate of a day."""
        self.put(
            "fx_rate", f"{currency}/{day}", source="ECB", region="*", rate_date=day, currency=currency, units_per_eur=Decimal(units_per_eur)
        )


def moment(day: date, hour: int = 12) -> datetime:
    """Noon (or another hour) of `day`, UTC."""
    return datetime(day.year, day.month, day.day, hour, tzinfo=UTC)
