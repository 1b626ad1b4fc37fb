"""`python -m sandbox --state DIR`: the sandbox as a program of its own, until SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

from sandbox.clock import rate_of
from sandbox.host import open_world
from sandbox.serving import Sandbox


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m sandbox", description=__doc__)
    parser.add_argument("--state", type=Path, required=True, help="folder that keeps the world, its ports and its files")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--day-seconds", default="300", help="how long a world day takes, or 'frozen'")
    parser.add_argument("--history-days", type=int, default=730)
    parser.add_argument("--customers", type=int, default=160)
    parser.add_argument("--control-port", type=int, default=0)
    parser.add_argument("--start-at", type=datetime.fromisoformat, default=None, help="world time of a new world, ISO, UTC")
    parser.add_argument("--webhooks-to", default="", help="address below which each system's events are sent: ADDRESS/<system>")
    return parser.parse_args()


async def _run(given: argparse.Namespace) -> None:
    given.state.mkdir(parents=True, exist_ok=True)
    start = given.start_at or datetime.now(UTC)
    start = start.replace(tzinfo=UTC) if start.tzinfo is None else start.astimezone(UTC)
    rate = rate_of(None if given.day_seconds == "frozen" else float(given.day_seconds))
    host = open_world(given.state, seed=given.seed, customers=given.customers, history_days=given.history_days, rate=rate, start_at=start)
    sandbox = Sandbox(given.state, host, control_port=given.control_port, webhooks_to=given.webhooks_to)
    loop = asyncio.get_running_loop()
    for one in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(one, sandbox.stop)
    await sandbox.serve(lambda: print(f"sandbox ready, control at {sandbox.manifest['control']}", file=sys.stderr))


def main() -> None:
    """Runs the sandbox."""
    asyncio.run(_run(_arguments()))


if __name__ == "__main__":
    main()
