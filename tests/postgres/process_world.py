"""A small world for the process layer's tests: customers, limits, orders, contracts, events, and a target that keeps its own log."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from db.engine import Database, Writing, writing
from db.schema import canonical, process
from sync.connections import Connection, Landscape
from sync.ports import Order, Receipt

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
ERP, CRM, TREASURY = "sap-emea", "salesforce", "kyriba"


def landscape() -> Landscape:
    """One ERP, one CRM and one treasury system, all of EMEA, reporting in euros."""
    systems = ((ERP, "sap_s4"), (CRM, "salesforce"), (TREASURY, "kyriba"))
    return Landscape(connections=tuple(Connection(name=name, system=system, region="EMEA") for name, system in systems))


def opened(engine: sa.Engine) -> Database:
    """The test's own database, as the process layer takes it."""
    return Database(engine, engine.url.render_as_string(hide_password=False), None)


def put(conn: Writing, entity: str, source: str, key: str, *, version: int = 1, at: datetime = NOW, **columns: Any) -> None:
    """One canonical row, in place of the one that was there."""
    table = canonical.ENTITIES[entity]
    row = {
        "source": source, "source_key": key, "source_version": version, "content_hash": version, "region": "EMEA", "changed_at": at,
        "recorded_at": at, "raw_record_id": 1, "contract_version": 1, "legal_entity": "DE01", **columns,
    }  # fmt: skip
    conn.execute(table.delete().where(table.c.source == source, table.c.source_key == key))
    conn.execute(table.insert(), row)


@dataclass
class World:
    """Writes facts and events; every call is one committed transaction."""

    database: Database
    parties: dict[str, int] = field(default_factory=dict)

    def write(self, work: Callable[[Writing], object]) -> None:
        with writing(self.database.engine) as conn:
            work(conn)

    def fresh(self, at: datetime = NOW) -> None:
        """The ERP's streams were pulled to the end at `at`."""
        self.write(
            lambda conn: conn.execute(
                sa.text(
                    "insert into process.stream (connection, stream, region, last_success_at, complete_until)"
                    " values (:erp, 'sales_orders', 'EMEA', :at, :at) on conflict (connection, stream)"
                    " do update set last_success_at = :at, complete_until = :at"
                ),
                {"erp": ERP, "at": at},
            )
        )

    def customer(self, key: str, limit: str | None = "100000", *, in_crm: bool = True, **columns: Any) -> int:
        """A customer of the ERP (and the CRM), linked to one party, with a credit limit in euros unless None."""
        with writing(self.database.engine) as conn:
            put(conn, "customer", ERP, key, number=key, name=f"Customer {key}", country="DE", payment_terms_days=30, **columns)
            party = conn.execute(
                sa.insert(canonical.party).returning(canonical.party.c.id),
                {"name": f"Customer {key}", "number": key, "region": "EMEA", "recorded_at": NOW},
            ).scalar_one()
            links = [(ERP, key)]
            if in_crm:
                put(conn, "customer", CRM, f"001{key}", number=key, erp_number=key, name=f"Customer {key}")
                links.append((CRM, f"001{key}"))
            for source, source_key in links:
                conn.execute(
                    sa.insert(canonical.identity_link),
                    {
                        "source": source, "source_key": source_key, "party_id": party, "region": "EMEA", "matched_by": "number",
                        "confidence": 1, "recorded_at": NOW,
                    },
                )  # fmt: skip
            if limit is not None:
                put(conn, "credit_limit", ERP, key, customer_key=key, limit_amount=Decimal(limit), currency="EUR")
        self.parties[key] = party
        return int(party)

    def contract(self, number: str, customer: str, status: str = "activated") -> None:
        self.write(
            lambda conn: put(
                conn, "contract", CRM, f"800{number}", number=number, customer_key=f"001{customer}", status=status,
                value=Decimal(1000), currency="EUR",
            )
        )  # fmt: skip

    def order(self, key: str, customer: str, value: str, *, contract: str | None = "C-1", blocked: bool = True, **columns: Any) -> None:
        self.write(
            lambda conn: put(
                conn, "sales_order", ERP, key, number=key, customer_key=customer, net_value=Decimal(value),
                contract_number=contract, status="open", delivery_block="01" if blocked else None,
                credit_status="blocked" if blocked else "released", **{"currency": "EUR", **columns},
            )
        )  # fmt: skip

    def invoice(self, key: str, customer: str, gross: str, *, due: date, paid_on: date | None = None, **columns: Any) -> None:
        with writing(self.database.engine) as conn:
            put(
                conn, "invoice", ERP, key, number=key, customer_key=customer, gross=Decimal(gross), currency="EUR",
                issue_date=due - timedelta(days=30), due_date=due, status="posted", **columns,
            )  # fmt: skip
            if paid_on is not None:
                put(
                    conn, "payment_application", ERP, f"{key}/1", invoice_key=key, customer_key=customer, amount=Decimal(gross),
                    currency="EUR", clearing_date=paid_on,
                )  # fmt: skip

    def event(self, type: str, source: str, key: str, *objects: str, data: Mapping[str, Any] | None = None, version: int = 1) -> int:
        entity = {"contract.approved": "contract", "order.blocked": "sales_order"}.get(type, "invoice")
        with writing(self.database.engine) as conn:
            return int(
                conn.execute(
                    sa.insert(process.event).returning(process.event.c.id),
                    {
                        "type": type, "entity": entity, "source": source, "source_key": key, "source_version": version,
                        "region": "EMEA", "occurred_at": NOW, "recorded_at": NOW, "objects": list(objects), "raw_record_id": 1,
                        "data": dict(data or {}), "state": "new",
                    },
                ).scalar_one()
            )  # fmt: skip

    def blocked(self, key: str, customer: str, value: str, *, version: int = 1, **columns: Any) -> int:
        """An order that waits for credit, and the event that says so."""
        self.order(key, customer, value, **columns)
        return self.event("order.blocked", ERP, key, f"order:{key}", f"customer:{ERP}:{customer}", version=version)

    def rows(self, statement: str, **bound: Any) -> list[Any]:
        with self.database.engine.connect() as conn:
            return list(conn.execute(sa.text(statement), bound))


def ready(engine: sa.Engine) -> World:
    """A world with fresh inputs, one contract and one customer ("1000") good for 100,000 euros."""
    world = World(opened(engine))
    world.fresh()
    world.customer("1000")
    world.contract("C-1", "1000")
    return world


@dataclass
class ScriptedTarget:
    """A system that executes writes and keeps its own log; the script says what goes wrong at which call.

    `script`: per call of `apply` an exception to raise, and whether the write was executed before it. `log`: the effect keys of the
    writes executed, in order: the truth that tests compare with.
    """

    script: list[tuple[Exception | None, bool]] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    orders: list[Order] = field(default_factory=list)
    reads: int = 0
    unreadable: list[Exception] = field(default_factory=list)
    differs: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def apply(self, order: Order) -> Receipt:
        with self._lock:
            error, executed = self.script.pop(0) if self.script else (None, True)
            if executed:
                self.log.append(order.effect_key)
                self.orders.append(order)
        if error is not None:
            raise error
        return Receipt("applied", reference=order.effect_key)

    def read(self, order: Order) -> Receipt:
        with self._lock:
            self.reads += 1
            if self.unreadable:
                raise self.unreadable.pop(0)
        if self.differs:
            return Receipt("differs", detail={"status": "something else"})
        return Receipt("already" if order.effect_key in self.log else "absent")

    def close(self) -> None:
        """Nothing is held open."""


def payload(row: Any) -> dict[str, Any]:
    """A row's payload as a dictionary, whether or not the driver decoded it."""
    found = row.payload
    return found if isinstance(found, dict) else dict(json.loads(found))
