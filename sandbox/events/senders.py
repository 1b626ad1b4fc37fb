"""All senders of a sandbox: who is told by whom, and the look at the world that finds what there is to tell."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import httpx

from sandbox.events.lane import PATIENCE, Lane
from sandbox.events.mail import Receiver, Sender
from sandbox.host import Host


class Senders:
    """The lanes of every sender. `secrets`: system -> the secret that proves its events, unless a receiver is given another."""

    def __init__(self, host: Host, senders: Sequence[Sender], secrets: Mapping[str, str]) -> None:
        self._host, self._secrets = host, dict(secrets)
        self._lanes = [Lane(one, host.dial, lambda: host.world) for one in senders]
        self._seen: dict[str, datetime] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._client: httpx.AsyncClient | None = None

    @property
    def systems(self) -> list[str]:
        """Every system that can tell of what happens in it."""
        return list(dict.fromkeys(lane.sender.system for lane in self._lanes))

    def direct(self, system: str, url: str, secret: str | None = None) -> None:
        """Sends a system's events to `url` from now on. ValueError says what is wrong with the request."""
        self._known(system)
        if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
            raise ValueError(f"{url!r} is no address of a receiver")
        receiver = Receiver(url, secret or self._secrets[system])
        self._look()
        for lane in self._lanes:
            if lane.sender.system == system:
                lane.direct(receiver)
                self._seen[lane.sender.name] = self._host.world.now
                self._ensure(lane)

    def forget(self, system: str | None = None) -> int:
        """Sends nothing any more, for one system or for all; returns how many senders fell silent."""
        if system is not None:
            self._known(system)
        silenced = [lane for lane in self._lanes if lane.receiver and system in (None, lane.sender.system)]
        for lane in silenced:
            lane.direct(None)
        return len(silenced)

    def shown(self) -> dict[str, Any]:
        """Each sender and how its mail stands."""
        return {lane.sender.name: {"system": lane.sender.system, **lane.shown()} for lane in self._lanes}

    def look(self) -> None:
        """Finds what changed since the last look, and puts it on its way."""
        if any(lane.receiver for lane in self._lanes):
            self._look()

    def _look(self) -> None:
        world = self._host.catch_up()
        for lane in self._lanes:
            name, system = lane.sender.name, lane.sender.system
            # What is committed late is told late: nobody can read it before.
            if lane.receiver is None or self._host.dial.peek(system, "late_commit", name):
                continue
            since = self._seen.get(name, world.now)
            if since < world.now:
                self._seen[name] = world.now
                lane.put(lane.sender.gather(world, since))

    def _known(self, system: str) -> None:
        if system not in self.systems:
            raise ValueError(f"{system!r} tells of nothing by itself; these do: {', '.join(self.systems)}")

    def _ensure(self, lane: Lane) -> None:
        if self._client is None:
            self._client = httpx.AsyncClient(timeout=PATIENCE, trust_env=False, limits=httpx.Limits(max_connections=100))
        if all(task.get_name() != lane.sender.name for task in self._tasks):
            self._tasks.append(asyncio.get_running_loop().create_task(lane.work(self._client), name=lane.sender.name))

    async def close(self) -> None:
        """Ends every delivery. What was waiting is forgotten, as the pulls find it anyway."""
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        if self._client is not None:
            await self._client.aclose()
