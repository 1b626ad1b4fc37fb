"""A whole installation brought up as a person would, and a real browser in front of it."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import sqlalchemy as sa
from playwright.sync_api import Browser, Page, Request, expect, sync_playwright

from db.engine import open_database, reading
from db.settings import Settings
from tests.browser.ensure_chromium import chromium

ROOT = Path(__file__).resolve().parents[2]
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
UP_SECONDS = 180
PATIENCE_MS = 60_000
asked_elsewhere: set[str] = set()
"""Every address on another machine that any page of this session asked for anything."""

expect.set_options(timeout=PATIENCE_MS)


@dataclass(frozen=True)
class Installation:
    """`tidegate up`, running: where its page and its sandbox's control port stand."""

    address: str
    home: Path
    environment: dict[str, str]
    process: subprocess.Popen[str] | None

    def rows(self, statement: str, **bound: Any) -> list[Any]:
        """What the installation's database says."""
        settings = Settings.from_environment(self.environment)
        with open_database(settings, application="tidegate-test", pool_size=1) as database, reading(database.engine) as conn:
            return list(conn.execute(sa.text(statement), bound))

    def control(self, path: str, body: dict[str, Any] | None = None, method: str | None = None) -> Any:
        """Asks the sandbox's control port."""
        manifest = json.loads((self.home / "sandbox" / "manifest.json").read_text(encoding="utf-8"))
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            manifest["control"] + path,
            data=data,
            method=method or ("GET" if body is None else "POST"),
            headers={"content-type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as reply:
            return json.loads(reply.read() or b"null")

    def tidegate(self, *arguments: str) -> Any:
        """Runs a command of ours with --json and returns what it says, whatever its exit code."""
        done = subprocess.run(
            [sys.executable, "-m", "app.cli", *arguments, "--json"],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.stdout, done.stderr
        return json.loads(done.stdout)


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def bring_up(home: Path, *extra: str) -> Installation:
    """`tidegate up` in its own process group, once it has printed its address."""
    environment = {**os.environ, "TIDEGATE_HOME": str(home), "PYTHONUNBUFFERED": "1"}
    environment.pop("DATABASE_URL", None)
    process = subprocess.Popen(
        [sys.executable, "-m", "app.cli", "up", "--no-browser", "--port", str(free_port()), *extra],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    said = []
    until = time.monotonic() + UP_SECONDS
    while time.monotonic() < until:
        line = process.stdout.readline()
        if not line:
            break
        said.append(line)
        found = re.search(r"Tidegate is up: (\S+)", line)
        if found:
            return Installation(found.group(1), home, environment, process)
    process.kill()
    raise AssertionError("tidegate up did not come up:\n" + "".join(said) + logs(home))


def logs(home: Path) -> str:
    """The tails of every part's log, for a failure's message."""
    return "\n".join(
        f"--- {path.name}\n{path.read_text(encoding='utf-8', errors='replace')[-3000:]}" for path in (home / "logs").glob("*.log")
    )


def take_down(installation: Installation) -> int:
    """Ctrl-C, once; returns the exit code. An installation that ran before the tests is left alone."""
    if installation.process is None:
        return 0
    installation.process.send_signal(signal.SIGINT)
    try:
        return installation.process.wait(40)
    except subprocess.TimeoutExpired:
        os.killpg(installation.process.pid, signal.SIGKILL)
        raise


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """One installation for all browser tests of the session: a new one, or the one that TIDEGATE_RUNNING (its address) names.

    A running one must be that of TIDEGATE_HOME; writing a story against it saves bringing one up every time.
    """
    running = os.environ.get("TIDEGATE_RUNNING")
    if running:
        yield Installation(running, Path(os.environ["TIDEGATE_HOME"]), dict(os.environ), None)
        return
    up = bring_up(tmp_path_factory.mktemp("home"))
    yield up
    take_down(up)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless Chromium, closed with its event loop after the module; where there is none the tests are left out loudly, and fail in CI."""
    program = chromium()
    if program is None:
        if os.environ.get("CI"):
            pytest.fail("no Chromium in CI: the browser tests must run there")
        pytest.skip("NO CHROMIUM: browser tests were not run")
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield made
        made.close()


def _note(request: Request) -> None:
    if urlsplit(request.url).scheme.startswith(("http", "ws")) and urlsplit(request.url).hostname not in ("localhost", "127.0.0.1"):
        asked_elsewhere.add(f"{request.url}, asked by {request.frame.url}")


def signed_in(browser: Browser, address: str, persona: str, *, scheme: str = "light", width: int = 1440) -> Page:
    """A page of a fresh browser session on which `persona` has signed in at the identity provider."""
    context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 900})  # type: ignore[arg-type]
    context.on("request", _note)
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.goto(address)
    page.get_by_role("button", name=re.compile("sign in", re.IGNORECASE)).click()
    page.get_by_role("button", name=persona, exact=True).click()
    expect(page.get_by_test_id("stSidebarNav").or_(page.get_by_test_id("stTopNavLink").first)).to_be_visible()
    return page
