"""Another company's software: Salesforce, three S/4HANA hosts, Kyriba and others, a bank's and a legacy ERP's file drops, on loopback.

Behind them stands one world with two years of history that goes on in compressed time. `running` starts it in this process
for tests; `python -m sandbox` as a program of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sandbox.clock import rate_of
from sandbox.host import open_world
from sandbox.serving import Sandbox
from sandbox.world.engine import World

__all__ = ["Running", "running"]


@dataclass(frozen=True)
class Running:
    """A running sandbox. `world` may be looked at while the clock is frozen."""

    manifest: dict[str, Any]
    control: str
    world: World
    state: Path

    def system(self, name: str) -> dict[str, str]:
        """Address and credentials of one system."""
        found: dict[str, str] = self.manifest["systems"][name]
        return found


@contextlib.contextmanager
def running(
    state: Path | str,
    *,
    seed: int = 7,
    customers: int = 12,
    history_days: int = 60,
    day_seconds: float | None = None,
    start_at: datetime | None = None,
) -> Iterator[Running]:
    """A small sandbox in a thread of this process, frozen unless `day_seconds` says how long a world day takes.

    `start_at` (UTC, default now) is the world time at which it opens; a state folder that holds a world goes on with that.
    """
    state = Path(state)
    state.mkdir(parents=True, exist_ok=True)
    moment = start_at or datetime.now(UTC)
    opened: list[tuple[Sandbox, asyncio.AbstractEventLoop]] = []
    problem: list[BaseException] = []
    ready = threading.Event()

    async def main() -> None:
        host = open_world(state, seed=seed, customers=customers, history_days=history_days, rate=rate_of(day_seconds), start_at=moment)
        sandbox = Sandbox(state, host)
        opened.append((sandbox, asyncio.get_running_loop()))
        await sandbox.serve(ready.set)

    def run() -> None:
        try:
            asyncio.run(main())
        except BaseException as wrong:  # noqa: BLE001 - handed to the caller's thread
            problem.append(wrong)
        finally:
            ready.set()

    thread = threading.Thread(target=run, name="sandbox", daemon=True)
    thread.start()
    ready.wait()
    if problem:
        raise RuntimeError("the sandbox did not start") from problem[0]
    sandbox, loop = opened[0]
    try:
        yield Running(sandbox.manifest, sandbox.manifest["control"], sandbox.host.world, state)
    finally:
        with contextlib.suppress(RuntimeError):  # the loop is closed when it ended by itself
            loop.call_soon_threadsafe(sandbox.stop)
        thread.join(timeout=10)
        if problem:
            raise RuntimeError("the sandbox failed") from problem[0]
