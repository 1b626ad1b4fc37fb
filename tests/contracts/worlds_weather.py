"""Time and weather of a random world: one clock for both sides, and a wire that fails at calls nobody chose. Everything comes from dice."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

from tests.contracts.suite_server import Asked, Reply

BEGINNING = datetime(2026, 5, 20, 9, 0, tzinfo=UTC)
LOGIN_PAGE = b"<!DOCTYPE html><html><head><title>Log on</title></head><body><form>User</form></body></html>"
Answer = Callable[[], Reply]


@dataclass
class WorldClock:
    """The wall time of our side, UTC; the server's runs `skew` beside it."""

    now: datetime = BEGINNING
    skew: timedelta = timedelta()

    def passes(self, seconds: float) -> None:
        """Time goes by."""
        self.now += timedelta(seconds=seconds)

    @property
    def theirs(self) -> datetime:
        """The server's clock."""
        return self.now + self.skew


@dataclass
class Weather:
    """Stands between a world's answers and the socket. `kinds`: the faults that may come; `rate`: how often; `rough`: whether any come."""

    dice: random.Random
    clock: WorldClock
    kinds: tuple[str, ...]
    rate: float = 0.12
    rough: bool = True
    asked_to_wait: datetime | None = None
    calls: int = 0
    by_day: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    """What our side did that it must not do, and what went wrong in the world itself."""
    met: Counter[str] = field(default_factory=Counter)
    _spell: tuple[str, int] = ("", 0)

    def between(self, asked: Asked, answer: Answer) -> Reply:
        """One call: time passes, and the answer comes, or does not."""
        self.clock.passes(self.dice.choice((0, 0.2, 1, 3)))
        self.calls += 1
        self.by_day[self.clock.now.date().isoformat()] += 1
        if self.asked_to_wait is not None and self.clock.now < self.asked_to_wait:
            self.wrong.append(f"{asked.method} {asked.path} came before the time that the server named")

        def surely() -> Reply:
            try:
                return answer()
            except Exception as error:  # noqa: BLE001 - a handler's own mistake must not look like weather
                self.wrong.append(f"the world can't answer {asked.method} {asked.path} {dict(asked.query)}: {error!r}")
                return Reply(b"", 500)

        if not self.rough:
            return surely()
        kind, left = self._spell
        if not left:
            if not self.kinds or self.dice.random() >= self.rate:
                return surely()
            kind, left = self.dice.choice(self.kinds), self.dice.choice((1, 1, 1, 2, 6))
        self._spell = (kind, left - 1)
        self.met[kind] += 1
        return self._fault(kind, surely)

    def _fault(self, kind: str, answer: Answer) -> Reply:
        if kind in _STATUS:
            code, body, content_type = _STATUS[kind]
            return Reply(body, code, content_type)
        if kind in ("429 seconds", "429 date", "503 wait"):
            return self._wait(kind)
        if kind == "closed":
            return Reply(raw=lambda _write: None)
        reply = answer()
        if kind == "lost":  # it was done, and nobody heard
            return Reply(raw=lambda _write: None)
        if reply.raw is not None or len(reply.body) < 2:
            return reply
        half = reply.body[: self.dice.randrange(1, len(reply.body))]
        if kind == "cut whole":  # a proxy that counts what it has
            return Reply(half, reply.status, reply.content_type, reply.headers)
        told = f"Content-Length: {len(reply.body)}\r\n" if kind == "cut" else ""
        more = "".join(f"{name}: {value}\r\n" for name, value in reply.headers.items())
        head = f"HTTP/1.1 {reply.status} OK\r\nContent-Type: {reply.content_type}\r\n{more}{told}Connection: close\r\n\r\n"
        return Reply(raw=lambda write: write(head.encode() + half))

    def _wait(self, kind: str) -> Reply:
        seconds = self.dice.choice((1, 30, 600, 4000))
        until = self.clock.now + timedelta(seconds=seconds)
        self.asked_to_wait = until.replace(microsecond=0) if kind == "429 date" else until
        text = format_datetime(until.replace(microsecond=0), usegmt=True) if kind == "429 date" else str(seconds)
        return Reply(b"", 503 if kind == "503 wait" else 429, "text/plain", {"Retry-After": text})


_STATUS = {
    "429": (429, b"<html>Too many requests</html>", "text/html"),
    "500": (500, b"", "text/plain"),
    "502 html": (502, b"<html>Bad gateway</html>", "text/html"),
    "503 xml": (503, b"<error/>", "application/xml"),
    "500 json": (500, b'{"error":"internal"}', "application/json"),
    "login page": (200, LOGIN_PAGE, "text/html"),
}
PASSING = (*_STATUS, "429 seconds", "429 date", "503 wait", "closed", "lost", "cut", "cut bare")
"""Faults that say nothing of the system but that it can't answer now."""
