"""The webhooks' real server on loopback over a database of its own, and what stands in that database afterwards."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import sqlalchemy as sa
import uvicorn
from prometheus_client import REGISTRY

from app import api
from app.api.application import create
from app.office import Office
from db.clock import FixedClock
from db.engine import Database, reading, writing
from db.settings import Settings
from sync import landing
from sync.connections import Connection, Landscape

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
SECRET, OLD_SECRET, OTHER_SECRET = "whsec_new+1", "whsec_old", "whsec_of_another"
ENVIRONMENT = {"DOORS_SECRET": SECRET, "DOORS_OLD_SECRET": OLD_SECRET, "DOORS_OTHER_SECRET": OTHER_SECRET}
_TABLES = ("process.webhook", "process.hint", "process.exception", "raw.page", "procrastinate_jobs")
_NEARBY = ("accounts", "balances", "invoices", "opportunities", "sales_orders", "billing_documents", "expected_payments")
_UNDONE = (
    "select count(*) from process.webhook"
    " where state not in ('processed', 'duplicate', 'quarantined') or settled_at is null or page_id is null"
)


@dataclass(frozen=True)
class Sent:
    """A request as its sender makes it: the body's bytes, its headers, and what the address has after the question mark."""

    body: bytes
    headers: Mapping[str, str | bytes]
    query: str = ""

    def but(self, **headers: str | bytes | None) -> Sent:
        """The same with these headers (`_` for `-`) instead; None takes one away."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        kept = {name: value for name, value in self.headers.items() if name not in named}
        return Sent(self.body, kept | {name: value for name, value in named.items() if value is not None}, self.query)

    def raw(self) -> list[tuple[bytes, bytes]]:
        """The headers as bytes, text in UTF-8."""
        return [(name.encode(), value if isinstance(value, bytes) else value.encode()) for name, value in self.headers.items()]


@dataclass(frozen=True)
class Doors:
    """A running API. Each of `connections` has a neighbour `NAME-silent` without any proof, and one `NAME-other` with others."""

    engine: sa.Engine
    landscape: Landscape
    clock: FixedClock
    url: str
    taken: dict[str, set[str]] = field(default_factory=dict)
    """Every event id that was answered with 2xx and our own receipt, by connection."""

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        host, _, port = self.url.removeprefix("http://").partition(":")
        return host, int(port)

    def post(self, name: str, sent: Sent) -> httpx.Response:
        """One request."""
        return self.post_all(name, [sent])[0]

    def post_all(self, name: str, all_sent: Sequence[Sent]) -> list[httpx.Response]:
        """All requests at the same moment, each over a socket of its own; the answers in their order."""

        async def ask() -> list[httpx.Response]:
            limits = httpx.Limits(max_connections=len(all_sent), max_keepalive_connections=0)
            async with httpx.AsyncClient(base_url=self.url, timeout=60, limits=limits, verify=False) as client:
                return await asyncio.gather(
                    *(client.post(f"/webhooks/{name}{'?' * bool(s.query)}{s.query}", content=s.body, headers=s.raw()) for s in all_sent)
                )

        answers = asyncio.run(ask())
        for answer in answers:
            if answer.is_success and answer.headers["content-type"] == "application/json" and answer.json()["event_id"]:
                self.taken.setdefault(name, set()).add(answer.json()["event_id"])
        return answers

    def rows(self, query: str, **values: Any) -> list[Any]:
        """What `query` finds."""
        with reading(self.engine) as conn:
            return list(conn.execute(sa.text(query), values))

    def stored(self) -> dict[str, int]:
        """How many rows stand in each of the tables that a webhook can touch."""
        return {table: int(self.rows(f"select count(*) from {table}")[0][0]) for table in _TABLES}

    def inbox(self, name: str) -> dict[str, str]:
        """Event id -> how it ended."""
        found = self.rows("select event_id, state from process.webhook where connection = :name order by id", name=name)
        return {row.event_id: row.state for row in found}

    def bodies(self) -> list[bytes]:
        """The landed bytes, page by page."""
        with reading(self.engine) as conn:
            return [landing.read(conn, row[0]).page.body for row in conn.execute(sa.text("select id from raw.page order by id"))]

    def hints(self, name: str) -> list[tuple[str, tuple[str, ...], bool]]:
        """(stream, keys, whole) of every open hint."""
        query = "select stream, keys, whole from process.hint where connection = :name and settled_at is null order by id"
        return [(row.stream, tuple(row.keys), row.whole) for row in self.rows(query, name=name)]

    def jobs(self, name: str) -> list[tuple[str, str]]:
        """(stream, trigger) of every pull that is asked for."""
        found = [row[0] for row in self.rows("select args from procrastinate_jobs where task_name = 'pull_stream'")]
        return sorted((args["stream"], args["trigger"]) for args in found if args["connection"] == name)

    def refused(self, name: str) -> float:
        """How many were refused so far."""
        return REGISTRY.get_sample_value("tidegate_webhooks_refused_total", {"connection": name}) or 0.0

    def pause(self, name: str, stream: str, *, paused: bool = True) -> None:
        """As a person does on the page."""
        with writing(self.engine) as conn:
            values = {"name": name, "stream": stream, "paused": paused}
            conn.execute(sa.text("update process.stream set is_paused = :paused where connection = :name and stream = :stream"), values)

    def clear(self) -> None:
        """An empty database at nine o'clock, every connection with its streams."""
        self.clock.set(NOW)
        self.taken.clear()
        with writing(self.engine) as conn:
            conn.execute(sa.text(";".join(f"delete from {table}" for table in (*_TABLES, "process.stream", "canonical.customer"))))
            conn.execute(
                sa.text(
                    "insert into process.stream (connection, stream, region) select connection, stream, 'EMEA'"
                    " from unnest(cast(:names as text[])) as connection, unnest(cast(:streams as text[])) as stream"
                ),
                {"names": [one.name for one in self.landscape.connections], "streams": list(_NEARBY)},
            )

    def check(self) -> None:
        """I5: what was answered with 2xx is in the inbox, and all that is in the inbox has an end and its bytes."""
        assert self.rows(_UNDONE)[0][0] == 0
        for name, ids in self.taken.items():
            assert ids - {*self.inbox(name)} == set()


def landscape(connections: Sequence[Connection]) -> Landscape:
    """These, each with its two neighbours."""
    found: list[Connection] = []
    for one in connections:
        options = {key: value for key, value in one.options.items() if key != "organization_id"}
        silent = one.model_copy(update={"name": f"{one.name}-silent", "secrets": {}, "options": options})
        if "organization_id" in one.options:
            options = {**options, "organization_id": "00D5g000009zzzz"}
        secrets = {"webhook_secret": "env:DOORS_OTHER_SECRET"}
        found += [one, silent, one.model_copy(update={"name": f"{one.name}-other", "secrets": secrets, "options": options})]
    return Landscape(reporting_currency="EUR", connections=tuple(found))


@contextmanager
def opened(engine: sa.Engine, folder: Path, connections: Sequence[Connection]) -> Iterator[Doors]:
    """The API, as it is served, on a port of its own."""
    clock, known = FixedClock(NOW), landscape(connections)
    database = Database(engine, engine.url.render_as_string(hide_password=False), None)
    with serving(Office(Settings(folder, database.url, folder / "none.toml"), database, known, clock)) as url:
        yield Doors(engine, known, clock, url)


@contextmanager
def serving(office: Office) -> Iterator[str]:
    """The API over `office`, with the settings by which it is served; gives its address."""
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen(128)
    config = uvicorn.Config(create(office), **{**api.SERVED, "log_config": None, "lifespan": "off"})
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listening])), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(20)
        with suppress(OSError):
            listening.close()


def as_json(document: Any) -> bytes:
    """As a sender writes it."""
    return json.dumps(document).encode()
