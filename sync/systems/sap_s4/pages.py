"""What all streams of a host do alike: pages out of answers, and values out of their records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from sync.ports import Page
from sync.systems.sap_s4.walk import Got
from sync.systems.sap_s4.wire import EntitySet

NOTHING = b'{"d":{"results":[]}}'
"""Stands for a last page that is as it was."""


def page(entity_set: EntitySet, body: bytes, cursor: Mapping[str, Any] | None, now: datetime, *, last: bool) -> Page:
    """A page of a set as it was received at `now` (UTC); the `last` one says that everything is complete until then."""
    headers = {"received_at": now.astimezone(UTC).isoformat()}
    return Page(body, "application/json", cursor, name=entity_set.path, headers=headers, complete_until=now if last else None)


def with_last(answers: Iterator[Got]) -> Iterator[tuple[Got, bool]]:
    """Each answer, and whether it is the last one."""
    held: Got | None = None
    for got in answers:
        if held is not None:
            yield held, False
        held = got
    if held is not None:
        yield held, True


def envelope(parts: Mapping[str, Sequence[msgspec.Raw | bytes]]) -> bytes:
    """A page of ours that holds the host's records of several sets, byte for byte as they came."""
    members = (b'"%b":[%b]' % (name.encode(), b",".join(bytes(one) for one in records)) for name, records in parts.items())
    return b"{" + b",".join(members) + b"}"


def values_of(records: Sequence[msgspec.Raw | bytes], *names: str) -> list[tuple[str, ...]]:
    """Of each record that has them all as text, the values of some of its members; the others are for the mapping to reject."""
    found = []
    for raw in records:
        try:
            row = msgspec.json.decode(bytes(raw), type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
        values = tuple(value for name in names if isinstance(value := row.get(name), str) and value)
        if len(values) == len(names):
            found.append(values)
    return found
