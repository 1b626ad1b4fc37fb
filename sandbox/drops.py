"""Drop folders: files are written under another name and renamed, manifests and markers come last; some are late, broken or sent twice."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from sandbox.faults import Dial, Fault
from sandbox.world.engine import World
from sandbox.world.model import DropFile


class Drops:
    """The drop folders and what has been left there. A file is written once, also across restarts."""

    def __init__(self, state: Path, folders: Mapping[str, Path], dial: Dial) -> None:
        self._folders, self._dial = folders, dial
        self._log = state / "dropped.txt"
        self._written = set(self._log.read_text().split()) if self._log.exists() else set[str]()
        for folder in folders.values():
            folder.mkdir(parents=True, exist_ok=True)

    def deliver(self, world: World) -> list[str]:
        """Writes what is waiting in the outbox, and re-sends where a fault asks for it; returns the names."""
        names: list[str] = []
        held: list[DropFile] = []
        for file in world.outbox:
            if file.name in self._written:
                continue
            if self._dial.peek(file.system, "late_file"):
                held.append(file)
                continue
            fault = self._dial.take(file.system, "broken_file")
            self._write(broken(file, str(fault.options.get("how", "totals"))) if fault else file)
            self._remember(file.name)
            world.last_files[file.system] = file
            names.append(file.name)
        world.outbox[:] = held
        return names + [self._resend(file, fault) for file, fault in self._again(world)]

    def _again(self, world: World) -> Iterator[tuple[DropFile, Fault]]:
        for system in self._folders:
            file = world.last_files.get(system)
            if file is not None and (fault := self._dial.take(system, "resent_file")):
                yield file, fault

    def _resend(self, file: DropFile, fault: Fault) -> str:
        again = corrected(file) if fault.options.get("how", "same") == "corrected" else file
        self._write(again)
        return again.name

    def _write(self, file: DropFile) -> None:
        folder = self._folders[file.system]
        parts = [(file.name, file.body)]
        if file.manifest is not None:
            parts.append((file.name + ".manifest.json", file.manifest))
        if "done" in file.about:
            parts.append((f"{file.name}{file.about['done']}", b""))
        for name, body in parts:
            scratch = folder / f".{name}.part"
            scratch.write_bytes(body)
            scratch.replace(folder / name)

    def _remember(self, name: str) -> None:
        self._written.add(name)
        with self._log.open("a") as log:
            log.write(name + "\n")


def _with_body(file: DropFile, body: bytes) -> DropFile:
    """The file with another body, and a manifest whose hash and size are right for it."""
    manifest = file.manifest
    if manifest is not None:
        told = json.loads(manifest)
        told.update(sha256=hashlib.sha256(body).hexdigest(), bytes=len(body))
        manifest = json.dumps(told, indent=1).encode()
    return DropFile(file.system, file.name, body, manifest, file.about)


def broken(file: DropFile, how: str) -> DropFile:
    """'cut': the end is missing and the manifest knows nothing of it. 'totals': totals that do not add up."""
    if how == "cut":
        return DropFile(file.system, file.name, file.body[: len(file.body) * 2 // 3], file.manifest, file.about)
    if file.name.startswith("mt940"):
        head, mark, tail = file.body.rpartition(b":62F:")
        return _with_body(file, head + mark + tail.replace(b",", b"9,", 1))
    if file.system == "bank-emea":
        head, mark, tail = file.body.partition(b"<Cd>CLBD</Cd>")
        before, amount, rest = tail.partition(b'">')
        return _with_body(file, head + mark + before + amount + b"9" + rest)
    if file.name.startswith("DEBMAS"):  # no totals: a record that lost its last position
        return _with_body(file, file.body[:-3] + b"\r\n")
    lines = file.body.split(b"\r\n")
    lines[-2] = re.sub(rb",(\d)(\d)", lambda m: b"," + m[1] + b"%d" % ((int(m[2]) + 1) % 10), lines[-2], count=1)
    return _with_body(file, b"\r\n".join(lines))


def corrected(file: DropFile) -> DropFile:
    """The same file with other content that is right in itself: a later stamp in its head."""
    if file.name.startswith("mt940"):
        return _with_body(file, file.body.replace(b"/001\r\n", b"/01\r\n", 1))
    if file.system == "bank-emea":
        return _with_body(file, file.body.replace(b"</MsgId>", b"C</MsgId>", 1))
    first, mark, rest = file.body.partition(b"\r\n")
    if file.name.startswith("DEBMAS"):
        return _with_body(file, first[:-90] + b"CORRECTED".ljust(70) + first[-20:] + mark + rest)
    return _with_body(file, first + b";CORR" + mark + rest)
