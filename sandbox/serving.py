"""Starts everything: one world, one port per HTTP system, one for SFTP and one for control, drop folders, the manifest."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import json
import logging
import os
import secrets
import socket
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from sandbox.breaking import BREAKING
from sandbox.control import Control
from sandbox.drops import Drops
from sandbox.ecb import FOLDER, Ecb
from sandbox.events.mail import Sender
from sandbox.events.senders import Senders
from sandbox.gate import Gate, OpenProtocol
from sandbox.host import Host
from sandbox.kyriba.api import API, TOKEN, Kyriba
from sandbox.modern_treasury.api import ModernTreasury
from sandbox.modern_treasury.webhooks import Webhooks
from sandbox.s4.api import ROOT, S4Host
from sandbox.s4.events import EventMesh
from sandbox.salesforce.api import Org
from sandbox.salesforce.capture import ChangeDataCapture
from sandbox.salesforce.objects import ORGANIZATION
from sandbox.salesforce.outbound import OutboundMessages
from sandbox.sftp.keys import Keys
from sandbox.sftp.server import USER, SftpServer
from sandbox.subscriptions.api import Subscriptions
from sandbox.world.acts import ACTS
from sandbox.world.reference import S4_HOSTS

BEAT = 0.25
MARK_EVERY = 1.0
SAVE_EVERY = 120.0
LOOK_EVERY = 1.0
"""Seconds between two looks for what there is to tell of; a control request looks at once."""
ACTS.update(BREAKING)
SFTP_SYSTEM = "legacy-latam"
HTTP_SYSTEMS = ("salesforce", *S4_HOSTS, "kyriba", "modern-treasury", "subscriptions", "ecb")
TELLING = ("salesforce", *S4_HOSTS, "modern-treasury")


class _Quiet(uvicorn.Server):
    """A server that leaves signals to the program it runs in, and says when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Starts to listen."""
        await super().startup(sockets)
        self.listening.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Captures none."""
        yield


def _open(answer: Callable[[Request], Awaitable[Response]]) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        response = await answer(Request(scope, receive))
        await response(scope, receive, send)

    return app


@dataclass
class Identity:
    """Ports and credentials, kept in the state folder, so that a restarted sandbox is found where it was."""

    path: Path
    ports: dict[str, int] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, state: Path) -> Identity:
        """The identity of a state folder, new when there is none."""
        path = state / "identity.json"
        kept = json.loads(path.read_text()) if path.exists() else {}
        known = {name: secrets.token_urlsafe(18) for name in (*HTTP_SYSTEMS, *(f"{one}/events" for one in TELLING))}
        return cls(path, kept.get("ports", {}), {**known, **kept.get("secrets", {})})

    def save(self) -> None:
        """Writes it atomically, for its owner only."""
        _write_private(self.path, {"ports": self.ports, "secrets": self.secrets})


def _write_private(path: Path, content: dict[str, Any]) -> None:
    scratch = path.with_suffix(".new")
    handle = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w") as file:
        json.dump(content, file, indent=1)
    scratch.replace(path)


def give_memory_back() -> None:
    """Returns what a snapshot or the beginning has left unused, where the C library can: some 30 MB."""
    with contextlib.suppress(OSError, AttributeError):  # not glibc: it stays with the process
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def bind(port: int) -> socket.socket:
    """A listening socket on loopback, on this port if it is free and on any other if not."""
    for wanted in (port, 0) if port else (0,):
        one = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind(("127.0.0.1", wanted))
        except OSError:
            one.close()
            continue
        one.listen(128)
        one.setblocking(False)
        return one
    raise OSError("no port is free on 127.0.0.1")


class Sandbox:
    """Everything that runs for one world. `serve` returns when `stop` was called."""

    def __init__(self, state: Path, host: Host, *, control_port: int = 0, webhooks_to: str = "") -> None:
        self.state, self.host, self._webhooks_to = state, host, webhooks_to.rstrip("/")
        self._identity = Identity.of(state)
        if control_port:
            self._identity.ports["control"] = control_port
        self.drops = Drops(state, {name: state / "drops" / name for name in ("bank-emea", "legacy-latam")}, host.dial)
        self._sockets = {name: bind(self._identity.ports.get(name, 0)) for name in (*HTTP_SYSTEMS, SFTP_SYSTEM, "control")}
        self._identity.ports = {name: s.getsockname()[1] for name, s in self._sockets.items()}
        self._identity.save()
        self._keys = Keys.of(state / "sftp")
        self._sftp = SftpServer(SFTP_SYSTEM, state / "drops" / SFTP_SYSTEM, self._keys, self._sockets[SFTP_SYSTEM], host.dial)
        words = self._identity.secrets
        self._org = Org(host, "sandbox-connected-app", words["salesforce"], self._url("salesforce"))
        tellers: tuple[Sender, ...] = (
            OutboundMessages(self._url("salesforce")), ChangeDataCapture(host.dial, self._org.origins),
            *(EventMesh(name) for name in S4_HOSTS), Webhooks("sandbox-organization"),
        )  # fmt: skip
        self.senders = Senders(host, tellers, {one: words[f"{one}/events"] for one in TELLING})
        self._org.before_write(self.senders.look)
        self._stop = asyncio.Event()
        (state / "manifest.json").unlink(missing_ok=True)  # it tells of the last run
        self.manifest = self._describe()

    def _url(self, name: str) -> str:
        return f"http://127.0.0.1:{self._identity.ports[name]}"

    def _describe(self) -> dict[str, Any]:
        words = self._identity.secrets
        systems: dict[str, dict[str, str]] = {
            "salesforce": {
                "base_url": self._url("salesforce"), "client_id": "sandbox-connected-app",
                "client_secret": words["salesforce"], "organization_id": ORGANIZATION,
            }
        }  # fmt: skip
        for name in S4_HOSTS:
            systems[name] = {"base_url": self._url(name) + ROOT, "user": "TIDEGATE", "password": words[name]}
        systems["kyriba"] = {
            "auth_url": self._url("kyriba") + TOKEN, "base_url": self._url("kyriba") + API,
            "client_id": "sandbox-treasury-client", "client_secret": words["kyriba"],
        }  # fmt: skip
        systems["modern-treasury"] = {
            "base_url": self._url("modern-treasury"), "organization_id": "sandbox-organization", "api_key": words["modern-treasury"],
        }  # fmt: skip
        systems["subscriptions"] = {"base_url": self._url("subscriptions"), "api_key": words["subscriptions"]}
        systems["ecb"] = {"base_url": self._url("ecb") + FOLDER}
        for name in TELLING:
            systems[name]["webhook_secret"] = words[f"{name}/events"]
        for name in ("bank-emea", "legacy-latam"):
            systems[name] = {"drop": str((self.state / "drops" / name).resolve())}
        systems[SFTP_SYSTEM] |= {
            "host": "127.0.0.1", "port": str(self._identity.ports[SFTP_SYSTEM]), "user": USER,
            "private_key": str(self._keys.partner.resolve()), "host_key": self._keys.fingerprint,
        }  # fmt: skip
        return {"pid": os.getpid(), "control": self._url("control"), "systems": systems}

    def _apps(self) -> dict[str, ASGIApp]:
        words, host, dial = self._identity.secrets, self.host, self.host.dial
        org = self._org
        treasury = Kyriba(host, "sandbox-treasury-client", words["kyriba"])
        apps: dict[str, ASGIApp] = {
            "salesforce": Gate("salesforce", dial, org.answer, org.target, org.void_tokens),
            "kyriba": Gate("kyriba", dial, treasury.answer, treasury.target, treasury.void_tokens),
            "control": _open(Control(host, self.drops, self.senders).answer),
        }
        second = ModernTreasury(host, "sandbox-organization", words["modern-treasury"])
        apps["modern-treasury"] = Gate("modern-treasury", dial, second.answer, second.target, second.void_tokens)
        billing = Subscriptions(host, words["subscriptions"])
        apps["subscriptions"] = Gate("subscriptions", dial, billing.answer, billing.target, billing.void_tokens)
        rates = Ecb(host)
        apps["ecb"] = Gate("ecb", dial, rates.answer, rates.target, rates.void_tokens)
        for name in S4_HOSTS:
            one = S4Host(name, host, "TIDEGATE", words[name])
            apps[name] = Gate(name, dial, one.answer, one.target, one.void_tokens)
        return apps

    async def serve(self, ready: Callable[[], None] = lambda: None) -> None:
        """Serves until stopped; `ready` is called once the manifest is written."""
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        servers = [
            (_Quiet(uvicorn.Config(app, http=OpenProtocol, lifespan="off", log_config=None, access_log=False,
                                   timeout_graceful_shutdown=1, timeout_keep_alive=30)), self._sockets[name])
            for name, app in self._apps().items()
        ]  # fmt: skip
        tasks = [asyncio.create_task(server.serve(sockets=[one])) for server, one in servers]
        self.host.catch_up()
        self.drops.deliver(self.host.world)
        self._sftp.start()
        for server, _ in servers:
            await server.listening.wait()
        _write_private(self.state / "manifest.json", self.manifest)
        for name in TELLING if self._webhooks_to else ():
            self.senders.direct(name, f"{self._webhooks_to}/{name}")
        gc.collect()
        gc.freeze()
        give_memory_back()
        ready()
        try:
            await self._live()
        finally:
            await self.senders.close()
            for server, _ in servers:
                server.should_exit = True
            await asyncio.gather(*tasks)
            await asyncio.to_thread(self._sftp.stop)
            self.host.catch_up()
            self.drops.deliver(self.host.world)
            self.host.journal.save(self.host.world)

    async def _live(self) -> None:
        marked = saved = looked = time.monotonic()
        while not self._stop.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), BEAT)
            now = time.monotonic()
            if not self.host.clock.frozen:
                self.host.catch_up()
            self.drops.deliver(self.host.world)
            if now - looked >= LOOK_EVERY:
                self.senders.look()
                looked = now
            if now - marked >= MARK_EVERY and not self.host.clock.frozen:
                self.host.journal.mark(self.host.world)
                marked = now
            if now - saved >= SAVE_EVERY and not self.host.clock.frozen:
                self.host.journal.save(self.host.world)
                give_memory_back()
                saved = time.monotonic()

    def stop(self) -> None:
        """Ends `serve`; to be called in its loop."""
        self._stop.set()
