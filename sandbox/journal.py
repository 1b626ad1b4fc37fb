"""How the world survives: a snapshot now and then, and a journal of everything that was done to it from outside.

The world's own life is deterministic, so a snapshot plus the journaled operations at their world times gives the very same
world again. Operations are on disk before they are answered; marks of passing time are not waited for.
"""

from __future__ import annotations

import contextlib
import json
import os
import pickle
from dataclasses import MISSING, fields
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

from sandbox.world.engine import World
from sandbox.world.operations import OPERATIONS, Refused

FORMAT = "sandbox world 2"
"""To be raised with every change of the world's records: a snapshot of another format is not believed."""


class Journal:
    """The snapshot and journal files of one state folder."""

    def __init__(self, state: Path) -> None:
        self._snapshot, self._path = state / "world.pickle", state / "journal.jsonl"
        self._file: BinaryIO | None = None

    def load(self) -> World | None:
        """The world as it was left, journal replayed; None when there is none yet."""
        if not self._snapshot.exists():
            return None
        with self._snapshot.open("rb") as file:
            made_by = pickle.load(file)
            world = pickle.load(file) if made_by == FORMAT else None
        if not isinstance(world, World):
            raise TypeError(f"{self._snapshot} was made by another version of the sandbox; remove its folder to begin anew")
        world.__dict__ = {**_as_new(), **world.__dict__}
        for line in self._lines():
            if line["seq"] > world.journal_seq:
                apply(world, line)
        return world

    def _lines(self) -> list[dict[str, Any]]:
        if not self._path.exists():
            return []
        lines = []
        for text in self._path.read_bytes().split(b"\n"):
            with contextlib.suppress(json.JSONDecodeError):  # the last line of a killed writer may be cut
                if text:
                    lines.append(json.loads(text))
        return lines

    def save(self, world: World) -> None:
        """Writes a snapshot atomically and begins a new journal."""
        scratch = self._snapshot.with_suffix(".new")
        with scratch.open("wb") as file:
            pickle.dump(FORMAT, file)
            pickle.dump(world, file, protocol=5)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(self._snapshot)
        self.close()
        self._path.write_bytes(b"")

    def operation(self, world: World, name: str, arguments: dict[str, Any]) -> None:
        """Notes an operation; it is on disk when this returns."""
        self._write(world, {"op": name, "args": arguments}, durable=True)

    def mark(self, world: World) -> None:
        """Notes how far the world has come."""
        self._write(world, {"op": None}, durable=False)

    def _write(self, world: World, entry: dict[str, Any], *, durable: bool) -> None:
        world.journal_seq += 1
        line = json.dumps({"seq": world.journal_seq, "at": world.now.isoformat(), **entry})
        if self._file is None:
            self._file = self._path.open("ab")
            if self._file.tell():
                self._file.write(b"\n")
        self._file.write(line.encode() + b"\n")
        self._file.flush()
        if durable:
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Closes the journal file; it reopens by itself."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _as_new() -> dict[str, Any]:
    """What a world has that was snapshotted before it was thought of: nothing yet."""
    return {one.name: one.default_factory() for one in fields(World) if one.default_factory is not MISSING}


def apply(world: World, line: dict[str, Any]) -> None:
    """Lives up to the journaled moment and does again what was done then; a refusal is refused again."""
    world.advance(datetime.fromisoformat(line["at"]))
    world.journal_seq = line["seq"]
    if line["op"] is not None:
        with contextlib.suppress(Refused, LookupError, ValueError):
            OPERATIONS[line["op"]](world, **line["args"])
