"""The dropped files of one connection as they are read: whole, with their manifest, known by their digest; and how they are filed away."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sync.drops.arrivals import Arrivals, Dropped
from sync.drops.place import Seen
from sync.systems.flat_files.declaration import FileKind
from sync.systems.flat_files.mapping import Arrival

MANIFEST_BYTES_MAX = 1 << 20
TELLING_SECONDS = 2.5
"""A file server stamps whole seconds: only of a file that was seen the same this long before it was read does the stamp tell a change."""

OLD_SECONDS = 900
"""Or one whose stamp is older than any server's clock is likely to be off."""


@dataclass(frozen=True, slots=True)
class Content:
    """A file as it was read. `too_large`: its size, when only its head was read."""

    body: bytes
    digest: str
    manifest: str | None
    too_large: int | None

    def arrival(self, name: str, now: datetime) -> Arrival:
        """How the file arrived, for a first look at it."""
        return Arrival(name, now, self.manifest, too_large=self.too_large)


@dataclass(slots=True)
class _State:
    """What is known of a path: the file's state, since when (monotonic), and its digest once that can be told by its state."""

    size: int
    changed: int
    since: float
    digest: str | None = None


class Intake:
    """Reads through `arrivals`; remembers digests so that what stays in a folder is read once."""

    def __init__(self, arrivals: Arrivals, tick: Callable[[], float] = time.monotonic) -> None:
        self._arrivals, self._tick = arrivals, tick
        self._states: dict[str, _State] = {}
        self._pulled: dict[str, Dropped] = {}

    def read(self, dropped: Dropped, kind: FileKind) -> Content | None:
        """The file with its manifest; None while one of them changes. It is remembered for `settle`."""
        state = self._state(dropped)
        body = dropped.place.read(dropped.file, kind.max_bytes)
        if body is None:
            return None
        manifest = None
        if dropped.manifest is not None:
            told = dropped.place.read(dropped.manifest, MANIFEST_BYTES_MAX)
            if told is None:
                return None
            manifest = told.decode("utf-8", errors="replace")
        digest = _digest_of(body, dropped.file)
        rested = self._tick() - state.since >= TELLING_SECONDS or time.time() - dropped.file.changed / 1e9 >= OLD_SECONDS
        if dropped.place.own_clock or rested:
            state.digest = digest
        self._pulled[dropped.file.name] = dropped
        return Content(body, digest, manifest, dropped.file.size if len(body) != dropped.file.size else None)

    def told(self, dropped: Dropped) -> str | None:
        """The SHA-256 of the file, where its state tells that it is the one that was read before; else None."""
        return self._state(dropped).digest

    def settle(self, name: str, digest: str | None, kind: FileKind, *, accepted: bool, reason: str | None) -> None:
        """Files away the file called `name` if it still has this digest; one that lies in no folder of ours is left alone."""
        dropped = self._pulled.pop(name, None)
        if dropped is None or not dropped.place.still(dropped.file):
            dropped = self._arrivals.find(name, kind.signs())
        if dropped is not None and self._digest(dropped, kind) == digest:
            self._arrivals.settle(dropped, accepted=accepted, reason=reason)
            self._states.pop(_path(dropped), None)
            self._pulled.pop(name, None)

    def _digest(self, dropped: Dropped, kind: FileKind) -> str | None:
        """The SHA-256 of the file, read again when its state does not tell; None while it changes."""
        known = self.told(dropped)
        if known is not None:
            return known
        content = self.read(dropped, kind)
        return None if content is None else content.digest

    def _state(self, dropped: Dropped) -> _State:
        """What is known of the file as it was seen just now."""
        seen = dropped.file
        known = self._states.get(_path(dropped))
        if known is None or (known.size, known.changed) != (seen.size, seen.changed):
            known = self._states[_path(dropped)] = _State(seen.size, seen.changed, self._tick())
        return known


def _path(dropped: Dropped) -> str:
    return f"{dropped.place.words}/{dropped.file.name}"


def _digest_of(body: bytes, seen: Seen) -> str:
    """SHA-256 in hex; of a file too large to be read, of its head and its size."""
    digest = hashlib.sha256(body)
    if len(body) != seen.size:
        digest.update(str(seen.size).encode())
    return digest.hexdigest()
