"""Declarations as a person writes them, in TOML, against small servers that answer in the public form of a known application."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from sync.connections import Connection, Landscape, LegalEntity
from sync.ports import Cursor
from sync.systems.rest import make_source
from sync.systems.rest.source import RestSource
from tests.contracts.suite_server import Asked, Reply, ScriptedServer
from tests.contracts.suite_store import Pulled, Store, pull

NOW = datetime(2026, 5, 20, 12, 0, tzinfo=UTC)
LANDSCAPE = Landscape(legal_entities=(LegalEntity(code="US01", name="Meridian Drives Inc", region="NA", currency="USD"),))
SECRETS = ("user", "password", "token", "key", "secret", "client_id", "client_secret", "refresh_token", "grant_token")

INVOICE = """
[streams.columns]
id = { required = true }
number = {}
customer = {}
issued = { type = "date" }
total = { type = "amount" }
currency = {}
status = {}
updated = { type = "time" }

[[streams.entities]]
entity = "invoice"
key = "id"

[streams.entities.fields]
number = "number"
customer_key = "customer"
issue_date = "issued"
gross = "total"
currency = "currency"
status = { column = "status", values = { open = "posted", paid = "cleared" } }
"""


class Vendor:
    """A declaration and the server it is for. `options`: TOML of the connection's options, `{url}` is the server's address."""

    def __init__(
        self, options: str, answer: Callable[[Asked], Reply], *, zone: str | None = None, secrets: Mapping[str, str] | None = None
    ) -> None:
        self.server = ScriptedServer(answer)
        given = {"base_url": self.server.url, **tomllib.loads(options.replace("{url}", self.server.url))}
        self.connection = Connection(
            name="vendor", system="rest", region="NA", legal_entities=("US01",), role="erp", allow_private_addresses=True, zone=zone,
            options=given, secrets=dict(secrets) if secrets else {name: f"env:VENDOR_{name.upper()}" for name in SECRETS},
        )  # fmt: skip
        self.store = Store()
        self.cursors: dict[str, Cursor | None] = {}

    def source(self) -> RestSource:
        """A source of its own, as another process has it."""
        return make_source(self.connection, LANDSCAPE)

    def pull(self, *, now: datetime = NOW) -> list[Pulled]:
        """Pulls every stream from where it was, into the store; nothing may be rejected."""
        done = []
        with closing(self.source()) as source:
            for stream in source.streams():
                pulled = pull(source, stream.name, self.cursors.get(stream.name), self.store, now=now)
                self.cursors[stream.name] = pulled.cursor
                done.append(pulled)
        assert self.store.rejects == []
        return done

    def live(self, entity: str, *fields: str) -> dict[str, Any]:
        """Key -> the fields, or the one field, of what is held and not deleted."""
        rows = self.store.live(entity)
        return {key: row[fields[0]] if len(fields) == 1 else tuple(row[name] for name in fields) for key, row in sorted(rows.items())}

    def asked(self, name: str) -> list[str | None]:
        """A parameter of every request."""
        return [asked.query.get(name) for asked in self.server.asked]


@contextmanager
def vendor(options: str, answer: Callable[[Asked], Reply], **how: Any) -> Iterator[Vendor]:
    """The vendor's server for as long as the block lasts."""
    made = Vendor(options, answer, **how)
    try:
        yield made
    finally:
        made.server.close()


def invoices(count: int, *, every: timedelta = timedelta(minutes=1)) -> list[dict[str, Any]]:
    """So many invoices of the form that INVOICE declares, the last one changed at NOW."""
    start = NOW - every * count
    return [
        {
            "id": f"i{n}", "number": f"A-{n}", "customer": "c1", "issued": "2026-05-01", "total": f"{n}.00", "currency": "USD", "status": "open",
            "updated": f"{start + every * n:%Y-%m-%dT%H:%M:%SZ}",
        }
        for n in range(1, count + 1)
    ]  # fmt: skip
