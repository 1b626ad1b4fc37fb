"""The source of a drop of delimited files: pulls complete files, maps them as declared, files them away when settled."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sync.connections import Connection, Landscape
from sync.declared.mapping import speaker_of
from sync.errors import DataError, PermanentError, SourceError, TransientError
from sync.ports import Capabilities, Cursor, Finding, Mapped, Page, Stream
from sync.systems.flat_files import wire
from sync.systems.flat_files.declaration import FileKind, declared
from sync.systems.flat_files.drop import Dropped, Folders, manifest_of
from sync.systems.flat_files.mapping import Arrival, map_file

REMEMBERED = 2000
"""Files that a cursor still knows after they have left the folder."""


class FlatFiles:
    """A connection of the system `flat_files`."""

    def __init__(self, connection: Connection, landscape: Landscape, wall: Callable[[], float] = time.time) -> None:
        """Raises ConfigError when the declaration is wrong."""
        self._connection = connection
        self._drop = declared(connection)
        self._folders = Folders(self._drop, connection.name, wall)
        self._digests: dict[Path, tuple[int, int, str]] = {}
        self._speaker = speaker_of(connection, landscape)

    def streams(self) -> Sequence[Stream]:
        """One stream per kind of file, in the order of the declaration."""
        return [
            Stream(
                kind.stream, tuple(dict.fromkeys(feed.entity for feed in kind.entities)), Capabilities(deletes=_deletes(kind)), atomic=True
            )
            for kind in self._drop.files
        ]

    def pull(self, stream: str, cursor: Cursor | None, *, now: datetime) -> Iterator[Page]:
        """One page per complete file that was not taken before, in the order of period, sequence and name."""
        kind = self._kind(stream)
        memory = _Memory(cursor)
        fresh: list[tuple[tuple[int, int, str], Dropped]] = []
        for dropped in self._folders.complete(kind):
            if memory.took(dropped.path.name, self._digest(dropped.path)):
                self._tidy(kind, dropped, now)
                continue
            body, _ = self._read(dropped.path)
            period, sequence = _numbers(dropped.path.name, body, kind)
            fresh.append(((period or 0, sequence or 0, dropped.path.name), dropped))
        fresh.sort(key=lambda item: item[0])
        for place, ((period, sequence, name), dropped) in enumerate(fresh):
            # Read again rather than held: a first pull may find years of files.
            body, digest = self._read(dropped.path)
            headers = _headers(kind, digest, now)
            if dropped.manifest is not None:
                headers["manifest"] = self._read(dropped.manifest)[0].decode("utf-8", errors="replace")
            conflict = memory.conflict(name, period, sequence, digest)
            if conflict is not None:
                headers["conflict"] = conflict
            if memory.last_sequence is not None:
                headers["previous_sequence"] = str(memory.last_sequence)
            memory = memory.after(name, period, sequence, digest)
            yield Page(
                body,
                "application/gzip" if body[:2] == b"\x1f\x8b" else "text/csv",
                memory.cursor(),
                name=name,
                headers=headers,
                complete_until=now if place == len(fresh) - 1 else None,
            )

    def map(self, stream: str, page: Page) -> Mapped:
        """Pure: the file in canonical words; DataError when it can't be believed as a whole."""
        headers = page.headers
        previous = headers.get("previous_sequence")
        arrival = Arrival(
            name=page.name or "the file",
            received_at=datetime.fromisoformat(headers["received_at"]),
            manifest=headers.get("manifest"),
            conflict=headers.get("conflict"),
            previous_sequence=int(previous) if previous is not None else None,
        )
        try:
            return map_file(page.body, arrival, self._kind(stream), self._speaker)
        except SourceError as error:
            error.connection = self._connection.name
            error.subject = page.name or ""
            raise

    def page_of(self, path: Path) -> Page:
        """The file at `path` as a page of its own, whatever folder it lies in; its cursor stays where it is.

        Its time is the file's last modification. Raises TransientError when it can't be read.
        """
        kind = self._kind(self.stream_of(path))
        body, digest = self._read(path)
        received = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        headers = _headers(kind, digest, received)
        beside = manifest_of(path, kind)
        if beside is not None:
            headers["manifest"] = self._read(beside)[0].decode("utf-8", errors="replace")
        return Page(body, "application/gzip" if body[:2] == b"\x1f\x8b" else "text/csv", None, name=path.name, headers=headers)

    def stream_of(self, path: Path) -> str:
        """The stream that a file of this name belongs to: the kind whose pattern fits, or the only kind there is."""
        fitting = [kind.stream for kind in self._drop.files if path.match(kind.pattern)]
        if len(fitting) == 1:
            return fitting[0]
        if len(self._drop.files) == 1:
            return self._drop.files[0].stream
        patterns = ", ".join(f"{kind.stream}: {kind.pattern}" for kind in self._drop.files)
        raise PermanentError(f"{path.name} fits {len(fitting)} of the declared kinds ({patterns})", connection=self._connection.name)

    def settled(self, stream: str, page: Page, *, accepted: bool, reason: str | None) -> None:
        """Archives an accepted file or quarantines a refused one; a file that lies in no folder of ours is left alone."""
        kind = self._kind(stream)
        dropped = self._folders.find(page.name or "", kind)
        if dropped is not None and self._read(dropped.path)[1] == hashlib.sha256(page.body).hexdigest():
            self._folders.settle(dropped, kind, accepted=accepted, reason=reason)

    def probe(self, *, now: datetime) -> Iterator[Finding]:
        """Says whether the folders can be read and tidied, and what the files waiting there are like."""
        if not self._drop.folders:
            yield Finding("folders", ok=True, words="no folder is watched; files come by `tidegate ingest`")
        for folder, listed, movable in self._folders.writable():
            yield Finding(f"folder {folder}", ok=listed, words="can be read" if listed else "is not there or can't be read")
            if listed and self._drop.archive:
                yield Finding(
                    f"archive in {folder}", ok=movable, words="files can be moved" if movable else "files can't be moved: allow writing"
                )
        for kind in self._drop.files:
            try:
                waiting = list(self._folders.complete(kind))
                yield Finding(f"files of {kind.stream}", ok=True, words=f"{len(waiting)} complete files match {kind.pattern}")
                if waiting:
                    yield self._tried(kind, waiting[-1], now)
            except SourceError as error:
                yield Finding(f"files of {kind.stream}", ok=False, words=error.detail)

    def close(self) -> None:
        """Nothing is held open."""

    def _tried(self, kind: FileKind, dropped: Dropped, now: datetime) -> Finding:
        body, _ = self._read(dropped.path)
        manifest = self._read(dropped.manifest)[0].decode("utf-8", errors="replace") if dropped.manifest else None
        try:
            mapped = map_file(body, Arrival(dropped.path.name, now, manifest), kind, self._speaker)
        except DataError as error:
            return Finding(dropped.path.name, ok=False, words=error.detail)
        return Finding(dropped.path.name, ok=True, words=f"{mapped.records} lines, {mapped.rejects.height} of them can't be read")

    def _tidy(self, kind: FileKind, dropped: Dropped, now: datetime) -> None:
        """A file that was committed but not filed away, since we were stopped between the two, is filed away now."""
        if not self._drop.archive:
            return
        body, _ = self._read(dropped.path)
        manifest = self._read(dropped.manifest)[0].decode("utf-8", errors="replace") if dropped.manifest else None
        accepted, reason = True, None
        try:
            map_file(body, Arrival(dropped.path.name, now, manifest), kind, self._speaker)
        except DataError as error:
            accepted, reason = False, error.detail
        self._folders.settle(dropped, kind, accepted=accepted, reason=reason)

    def _kind(self, stream: str) -> FileKind:
        kind = self._drop.kind(stream)
        if kind is None:
            known = ", ".join(one.stream for one in self._drop.files)
            raise PermanentError(f"the connection declares no stream {stream!r}; it has: {known}", connection=self._connection.name)
        return kind

    def _digest(self, path: Path) -> str:
        """The SHA-256 of the file, read again only when its size or its time of change is another."""
        try:
            state = path.stat()
        except OSError as error:
            raise TransientError(f"{path.name} can't be read: {error.strerror}", connection=self._connection.name) from error
        known = self._digests.get(path)
        if known is None or known[:2] != (state.st_size, state.st_mtime_ns):
            known = (state.st_size, state.st_mtime_ns, self._read(path)[1])
            self._digests[path] = known
        return known[2]

    def _read(self, path: Path) -> tuple[bytes, str]:
        """(the bytes of the file, their SHA-256 in hex)."""
        try:
            body = path.read_bytes()
        except OSError as error:
            raise TransientError(f"{path.name} can't be read: {error.strerror}", connection=self._connection.name) from error
        return body, hashlib.sha256(body).hexdigest()


class _Memory:
    """What a cursor remembers: the files taken, by name and digest, their sequences, and the last sequence."""

    def __init__(self, cursor: Cursor | None) -> None:
        held: Mapping[str, Any] = cursor or {}
        self._files: list[list[Any]] = [list(entry) for entry in held.get("files", [])]
        self.last_sequence: int | None = held.get("last_sequence")

    def took(self, name: str, digest: str) -> bool:
        """Whether exactly this file was taken before."""
        return any(entry[0] == name and entry[1] == digest for entry in self._files)

    def conflict(self, name: str, period: int, sequence: int, digest: str) -> str | None:
        """Words for an earlier file of the same name, or of the same period and sequence, with other content."""
        for entry in reversed(self._files):
            if entry[1] != digest and entry[0] == name:
                return f"{name} came before with other content, SHA-256 {entry[1]}"
            if entry[1] != digest and sequence and (entry[2], entry[3]) == (period, sequence):
                return f"{entry[0]} came before as sequence {sequence} with other content"
        return None

    def after(self, name: str, period: int, sequence: int, digest: str) -> _Memory:
        """The memory once this file is taken too."""
        files = [*self._files, [name, digest, period, sequence]][-REMEMBERED:]
        last = max(sequence, self.last_sequence or 0) if sequence else self.last_sequence
        return _Memory({"files": files, "last_sequence": last})

    def cursor(self) -> dict[str, Any]:
        """The memory as a cursor."""
        return {"files": self._files, "last_sequence": self.last_sequence}


def _headers(kind: FileKind, digest: str, received: datetime) -> dict[str, str]:
    """What mapping and a person who looks at a line need to know of the file beside its bytes."""
    before = int(kind.names_in_file) + int(kind.header is not None)
    return {
        "digest": digest,
        "received_at": received.astimezone(UTC).isoformat(),
        "encoding": kind.encoding,
        "first_record_line": str(before),
    }


def _deletes(kind: FileKind) -> bool:
    return any(feed.otherwise == "delete" for feed in kind.entities)


def _numbers(name: str, body: bytes, kind: FileKind) -> tuple[int | None, int | None]:
    """(period, sequence) by the name or the header; (None, None) for a file that can't be read: mapping will say why."""
    try:
        header = wire.table(wire.decode(body, kind), kind).header if kind.header is not None else {}
    except DataError:
        header = {}
    return wire.numbering(name, header, kind)
