"""The HTTP API over a test's own database, asked in this process."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import httpx
import sqlalchemy as sa

from app.api import tokens
from app.api.application import create
from app.office import Office
from db.clock import FixedClock
from db.engine import Database, writing
from db.settings import Settings
from metrics import refresh
from sync.connections import load
from tests.postgres.metrics_facts import Facts

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
_CONNECTIONS = """
[tidegate]
reporting_currency = "EUR"

[[connection]]
name = "crm"
system = "salesforce"
region = "EMEA"
options = { base_url = "http://127.0.0.1:9" }
"""


class ApiHouse:
    """The API, its database, and what a caller sees."""

    def __init__(self, engine: sa.Engine, folder: Path) -> None:
        config = folder / "connections.toml"
        config.write_text(_CONNECTIONS, encoding="utf-8")
        self.engine = engine
        database = Database(engine, engine.url.render_as_string(hide_password=False), None)
        self.office = Office(Settings(folder, database.url, config), database, load(config, {}), FixedClock(NOW))
        self.app = create(self.office)

    def ask_all(self, requests: Sequence[dict[str, Any]]) -> list[httpx.Response]:
        """Sends all requests at the same time; the answers in their order."""

        async def ask() -> list[httpx.Response]:
            transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", timeout=60) as client:
                return await asyncio.gather(*(client.request(**request) for request in requests))

        return asyncio.run(ask())

    def ask(self, method: str, url: str, **more: Any) -> httpx.Response:
        return self.ask_all([{"method": method, "url": url, **more}])[0]

    def get(self, url: str, token: str | None = None) -> httpx.Response:
        return self.ask("GET", url, headers={"Authorization": f"Bearer {token}"} if token else {})

    def token(self, *scopes: str, regions: Sequence[str] = ("*",), expires_at: datetime | None = None, name: str = "test") -> str:
        with writing(self.engine) as conn:
            return tokens.create(conn, name=name, scopes=scopes, regions=regions, created_by="test", now=NOW, expires_at=expires_at)

    def count(self, table: str) -> int:
        with self.engine.connect() as conn:
            return int(conn.scalar(sa.text(f"select count(*) from {table}")) or 0)


def furnish(engine: sa.Engine) -> None:
    """A customer of EMEA who paid one invoice and owes on two, one of NA who owes on one, an exception of each; read models made."""
    with writing(engine) as conn:
        facts = Facts(conn)
        facts.customer("C1", party=1, limit="1000")
        facts.invoice("I1", "C1", "400.00", date(2026, 1, 5), paid=[(date(2026, 1, 25), "400.00")])
        facts.invoice("I2", "C1", "250.00", date(2026, 1, 6), paid=[(date(2026, 2, 1), "50.00")])
        facts.invoice("I3", "C1", "100.00", date(2026, 2, 25))
        facts.customer("C2", party=2, limit="100", source="erp-na", region="NA")
        facts.invoice("I9", "C2", "300.00", date(2026, 1, 5), source="erp-na", region="NA")
        for region, customer in (("EMEA", "C1"), ("NA", "C2")):
            conn.execute(
                sa.text(
                    "insert into process.exception (fingerprint, cause, severity, state, kind, connection, region, entity, source_key,"
                    " customer_key, message, first_seen, last_seen) values (:region, 'bad_amount', 'high', 'new', 'record', 'crm', :region,"
                    " 'invoice', :region, :customer, 'ten is no amount', :now, :now)"
                ),
                {"region": region, "customer": customer, "now": NOW},
            )
    refresh.run(engine, now=NOW, reporting_currency="EUR")
