"""`tidegate up`: everything on this machine. Starts the parts in order, watches them, and takes every one of them down again."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from app import sandbox_link, sign_in
from app.dashboard import LOCAL_ISSUER
from app.foreign_warnings import silence_authlib
from db.settings import Settings

HEARTBEAT_SECONDS = 5.0
STOP_SECONDS = 12.0
START_SECONDS = 150.0

_FOREIGN_STYLE = re.compile(r"<link\b[^>]*https://[^>]*>")
_PLAIN_STYLE = (
    "<style>:root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:40rem;margin:3rem auto;padding:0 1rem}"
    "button,input{font:inherit;padding:.45rem .9rem;margin:.15rem 0}</style>"
)

Say = Callable[[str], None]


class StartFailed(RuntimeError):
    """A part did not come up; the message names it and its log."""


@dataclass
class Part:
    """One process of ours: how it is started, and since when it runs."""

    name: str
    arguments: list[str]
    environment: dict[str, str]
    log: Path
    process: subprocess.Popen[bytes] | None = None
    restarts: list[float] = field(default_factory=list)
    _log_file: IO[bytes] | None = None

    def start(self) -> None:
        self._log_file = self.log.open("ab")
        self.process = subprocess.Popen(
            [*_tied_to_us(), sys.executable, "-m", *self.arguments],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=self._log_file,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C reaches us alone; we end the parts in order
        )

    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def stop(self, seconds: float) -> None:
        """Asks the part to end, and insists after `seconds`."""
        if self.process is not None and self.alive():
            self.process.terminate()
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
        if self._log_file is not None:
            self._log_file.close()


def _tied_to_us() -> list[str]:
    """Where util-linux is at hand, the kernel itself ends a part whose `up` was killed without a chance to do so."""
    program = shutil.which("setpriv") if sys.platform == "linux" else None
    return [program, "--pdeathsig", "TERM", "--"] if program else []


def free_port(preferred: int) -> int:
    """`preferred` if nobody listens there on loopback, else any free port."""
    for port in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            found: int = probe.getsockname()[1]
            return found
    raise StartFailed("no port is free on loopback")


def answers(url: str) -> bool:
    """Whether `url` answers 200 now."""
    try:
        with urllib.request.urlopen(url, timeout=2) as reply:  # noqa: S310  (our own loopback address)
            return bool(reply.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def wait_for(what: str, ready: Callable[[], bool], part: Part) -> None:
    """Waits until `ready()`; StartFailed when the part ends or START_SECONDS pass."""
    until = time.monotonic() + START_SECONDS
    while not ready():
        if not part.alive():
            raise StartFailed(f"{what} ended while starting; its words are in {part.log}")
        if time.monotonic() > until:
            raise StartFailed(f"{what} did not answer within {START_SECONDS:.0f} s; its words are in {part.log}")
        time.sleep(0.1)


def read_json(url: str) -> Mapping[str, Any]:
    """The JSON document at `url`."""
    with urllib.request.urlopen(url, timeout=5) as reply:  # noqa: S310  (our own loopback address)
        found: Mapping[str, Any] = json.loads(reply.read())
        return found


def _without_outside_calls(response: Any) -> Any:
    """The provider's pages ask a CDN for their style sheet; nothing of ours asks another machine for anything, so they get a plain one."""
    if response.mimetype == "text/html":
        response.set_data(_FOREIGN_STYLE.sub(_PLAIN_STYLE, response.get_data(as_text=True)))
    return response


def _real_time(engine: Any) -> None:
    """Ends an earlier rehearsal: without the sandbox, business time is real time."""
    from db.clock import forget
    from db.engine import writing

    with writing(engine) as conn:
        forget(conn)


class Everything:
    """The whole installation on one machine, from database to dashboard."""

    def __init__(self, settings: Settings, *, port: int, api_port: int, sandbox: bool, say: Say) -> None:
        self.settings = settings
        self.port = port
        self.api_port = api_port
        self.with_sandbox = sandbox
        self.say = say
        self.parts: list[Part] = []
        self.stopping = threading.Event()
        self.logs = settings.home / "logs"

    def run(self, on_ready: Callable[[str], None]) -> int:
        """Brings everything up, calls `on_ready` with the address, and stays until Ctrl-C or SIGTERM. Returns the exit code."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda *_: self.stopping.set())
        self.logs.mkdir(parents=True, exist_ok=True)
        from db.engine import open_database

        database = open_database(self.settings, application="tidegate-up", pool_size=2)
        provider = None
        try:
            environment = {**os.environ, "TIDEGATE_HOME": str(self.settings.home), "TIDEGATE_CONFIG": str(self.settings.config.absolute())}
            if self.with_sandbox:
                self._start_sandbox(environment)
                self._keep_clock(database.engine)
            else:
                _real_time(database.engine)
            provider = self._personas(environment)
            self._start_ours(environment)
            on_ready(f"http://localhost:{self.port}")
            self._watch()
            return 0
        except StartFailed as failure:
            self.say(str(failure))
            return 1
        finally:
            self.stopping.set()
            for part in reversed(self.parts):
                part.stop(STOP_SECONDS)
            if provider is not None:
                provider.__exit__(None, None, None)
            database.close()

    def _add(self, name: str, arguments: list[str], environment: dict[str, str]) -> Part:
        part = Part(name, arguments, environment, self.logs / f"{name}.log")
        part.start()
        self.parts.append(part)
        return part

    def _start_sandbox(self, environment: dict[str, str]) -> None:
        home = sandbox_link.sandbox_home(self.settings.home)
        home.mkdir(parents=True, exist_ok=True)
        (home / "manifest.json").unlink(missing_ok=True)
        part = self._add(
            "sandbox", ["sandbox", "--state", str(home), "--webhooks-to", f"http://127.0.0.1:{self.api_port}/webhooks"], environment
        )
        wait_for("the sandbox", lambda: sandbox_link.manifest(self.settings.home) is not None, part)
        environment.update(sandbox_link.environment(sandbox_link.manifest(self.settings.home) or {}))

    def _keep_clock(self, engine: Any) -> None:
        """Keeps business time in step with the sandbox's world; when we stop, it stands still."""
        from db.clock import anchor
        from db.engine import writing

        def beat() -> None:
            found = sandbox_link.manifest(self.settings.home) or {}
            said = read_json(f"{found['control']}/control/clock")
            with writing(engine) as conn:
                anchor(conn, datetime.fromisoformat(said["world_at"]), float(said["rate"]), HEARTBEAT_SECONDS * 4)

        def keep() -> None:
            while not self.stopping.wait(HEARTBEAT_SECONDS):
                try:
                    beat()
                except (OSError, KeyError, ValueError) as error:
                    self.say(f"the sandbox's clock could not be read ({error}); business time stands still until it can")

        beat()
        threading.Thread(target=keep, name="rehearsal-clock", daemon=True).start()

    def _personas(self, environment: dict[str, str]) -> Any:
        """The local identity provider, unless the connections file names a real one."""
        from sync.connections import load

        if load(self.settings.config).sign_in is not None:
            return None
        import logging

        silence_authlib()
        import oidc_provider_mock

        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        people = [oidc_provider_mock.User(sub=subject, claims=dict(claims)) for subject, claims in sign_in.PERSONAS.items()]
        provider = oidc_provider_mock.run_server_in_thread(port=free_port(self.port + 2), user_claims=people)
        server = provider.__enter__()
        server.app.after_request(_without_outside_calls)
        environment[LOCAL_ISSUER] = f"http://localhost:{server.server_port}"
        return provider

    def _start_ours(self, environment: dict[str, str]) -> None:
        dashboard = self._add("dashboard", ["app.cli", "dashboard", "--port", str(self.port)], environment)
        worker = self._add("worker", ["app.cli", "worker"], environment)
        api = self._add("api", ["app.cli", "api", "--port", str(self.api_port)], environment)
        wait_for("the dashboard", lambda: answers(f"http://127.0.0.1:{self.port}/_stcore/health"), dashboard)
        wait_for("the API", lambda: answers(f"http://127.0.0.1:{self.api_port}/healthz"), api)
        if not worker.alive():
            raise StartFailed(f"the worker ended while starting; its words are in {worker.log}")

    def _watch(self) -> None:
        """Starts a part again that ended by itself; gives up on one that does so five times in a minute."""
        while not self.stopping.wait(0.5):
            for part in self.parts:
                if part.alive():
                    continue
                now = time.monotonic()
                part.restarts = [*[then for then in part.restarts if now - then < 60], now]
                if len(part.restarts) > 5:
                    raise StartFailed(f"{part.name} keeps ending; its words are in {part.log}")
                self.say(f"{part.name} ended by itself and is started again; its words are in {part.log}")
                part.stop(0)
                part.start()
