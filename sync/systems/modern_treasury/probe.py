"""What `connections test` says of an organisation: are we let in, do the clocks agree, may the key read each list."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

from sync.clock_skew import clock_finding
from sync.http import wall_clock
from sync.ports import Finding
from sync.systems.modern_treasury.client import Session


def probe(session: Session, first_page: Callable[[str, datetime], Finding], streams: Sequence[str], *, now: datetime) -> Iterator[Finding]:
    """One line for each thing that was tried; the ping first, whose error, if any, is the caller's to tell."""
    session.client.interactive = True
    answer = session.get("ping")
    said = answer.json()
    pong = isinstance(said, dict) and said.get("ping") == "pong"
    words = f"{session.client.base_url} answered {'pong' if pong else 'something else than pong: is this the right address?'}"
    yield Finding("credentials", ok=pong, words=words)
    yield clock_finding(answer.headers, wall=wall_clock())
    for stream in streams:
        yield first_page(stream, now)
    yield Finding("writing", ok=True, words="not tried: an expected payment is created only when a forecast is published")
