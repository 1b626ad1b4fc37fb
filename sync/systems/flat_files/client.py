"""The source of a drop of files: pulls complete files, maps them as declared, files them away when settled."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import structlog

from sync.connections import Connection, Landscape
from sync.declared.mapping import speaker_of
from sync.drops import calendar, sequences
from sync.drops.arrivals import Arrivals, Dropped, left_alone
from sync.drops.places import places_of
from sync.errors import DataError, PermanentError, SourceError, TransientError
from sync.ports import ABOUT, Arrived, Capabilities, Cursor, Expected, Finding, Mapped, Page, Pending, Stream
from sync.systems.flat_files import wire
from sync.systems.flat_files.declaration import FileKind, declared
from sync.systems.flat_files.idoc_paths import CONTROL
from sync.systems.flat_files.intake import Content, Intake
from sync.systems.flat_files.mapping import Arrival, map_file
from sync.systems.flat_files.memory import Memory, Taken
from sync.systems.flat_files.packing import is_packed
from sync.systems.flat_files.tables import tables

_log = structlog.get_logger(__name__)


class FlatFiles:
    """A connection of the system `flat_files`."""

    def __init__(self, connection: Connection, landscape: Landscape, wall: Callable[[], float] = time.time) -> None:
        """Raises ConfigError when the declaration is wrong."""
        self._connection = connection
        self._drop = declared(connection)
        self._arrivals = Arrivals(places_of(connection, self._drop), self._drop, wall=wall)
        self._intake = Intake(self._arrivals)
        self._speaker = speaker_of(connection, landscape)

    def streams(self) -> Sequence[Stream]:
        """One stream per kind of file, in the order of the declaration."""
        return [
            Stream(
                kind.stream, tuple(dict.fromkeys(feed.entity for feed in kind.entities)), Capabilities(deletes=_deletes(kind)), atomic=True
            )
            for kind in self._drop.files
        ]

    def pull(self, stream: str, cursor: Cursor | None, *, now: datetime) -> Iterator[Page | Pending]:
        """One page per complete file that was not taken before, in the order of period, sequence and name. Ends with Pending while a file
        may still grow, and with PermanentError when everything is in but taken files can't be moved away.
        """
        kind = self._kind(stream)
        memory = Memory(cursor)
        look = self._arrivals.look(kind.signs(), memory.looks)
        memory = memory.seeing(look.growing, {dropped.file.name for dropped in look.complete})
        fresh, stuck = self._fresh(kind, look.complete, memory, now)
        for place, ((period, sequence, name), dropped) in enumerate(fresh):
            # Read again rather than held: a first pull may find years of files.
            content = self._intake.read(dropped, kind)
            if content is None:
                continue
            headers = _headers(kind, content, now)
            if period or sequence:
                headers[ABOUT] = name
            conflict = memory.conflict(name, period, sequence, content.digest)
            if conflict is not None:
                headers["conflict"] = conflict
            if memory.last_sequence is not None:
                headers["previous_sequence"] = str(memory.last_sequence)
            memory = memory.after(Taken(name, content.digest, period, sequence))
            whole = place == len(fresh) - 1 and not look.growing and stuck is None
            page = Page(content.body, _content_type(content.body, kind), memory.cursor(), name=name, headers=headers)
            yield replace(page, complete_until=now) if whole else page
        for orphan in left_alone(look.orphans, kind.signs(), memory.knows):
            with suppress(SourceError):
                self._arrivals.settle(orphan, accepted=True, reason=None)
        if stuck is not None:
            raise stuck
        if look.growing:
            yield Pending(memory.cursor(), float(kind.stable_seconds + 1), f"{len(look.growing)} file(s) of {stream} may still grow")

    def _fresh(
        self, kind: FileKind, complete: Sequence[Dropped], memory: Memory, now: datetime
    ) -> tuple[list[tuple[tuple[int, int, str], Dropped]], PermanentError | None]:
        """The files to be taken in their order, each with its (period, sequence, name), and why taken ones can't be filed away."""
        fresh: list[tuple[tuple[int, int, str], Dropped]] = []
        stuck: PermanentError | None = None
        for dropped in complete:
            name = dropped.file.name
            period, sequence = (each or 0 for each in wire.numbering(name, {}, kind))
            if kind.header is None and memory.is_new(name, period, sequence):
                fresh.append(((period, sequence, name), dropped))
                continue
            told = self._intake.told(dropped)
            if told is not None and memory.took(name, told) and not self._drop.archive:
                continue
            content = self._intake.read(dropped, kind)
            if content is None:
                continue
            period, sequence = (each or 0 for each in _numbers(name, content.body, kind))
            if not (memory.took(name, content.digest) or memory.took_as(period, sequence, content.digest)):
                fresh.append(((period, sequence, name), dropped))
                continue
            if not self._drop.archive:
                continue
            try:
                self._tidy(kind, dropped, content, now)
            except PermanentError as error:
                stuck = error
        return sorted(fresh, key=lambda item: item[0]), stuck

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
            too_large=int(headers["too_large"]) if "too_large" in headers else None,
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
        try:
            received = datetime.fromtimestamp(path.stat().st_mtime, UTC)
            body = path.read_bytes()
            beside = kind.signs().manifest(path.name)
            manifest = path.with_name(beside).read_bytes() if beside else None
        except OSError as error:
            raise TransientError(f"{error.filename or path} can't be read: {error.strerror}", connection=self._connection.name) from error
        told = None if manifest is None else manifest.decode("utf-8", errors="replace")
        headers = _headers(kind, Content(body, hashlib.sha256(body).hexdigest(), told, None), received)
        return Page(body, _content_type(body, kind), None, name=path.name, headers=headers)

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
        """Archives an accepted file or quarantines a refused one; a file that lies in no folder of ours is left alone.

        The commit stands whatever the folder says: a file that stays is known by its digest, and the next pull tries again and says why.
        """
        kind = self._kind(stream)
        try:
            self._intake.settle(page.name or "", page.headers.get("digest"), kind, accepted=accepted, reason=reason)
        except SourceError as error:
            _log.warning("a committed file stays where it is", file=page.name, connection=self._connection.name, detail=error.detail)

    def expected(self, stream: str, arrivals: Sequence[Arrived], *, since: datetime | None, now: datetime) -> Sequence[Expected]:
        """What the kind's calendar expects, and which numbers of its series were passed over, given the files that have come."""
        kind = self._kind(stream)
        gaps = sequences.skipped(arrivals, name=kind.name, since=since) if kind.sequence_gaps == "alarm" else ()
        if kind.expect is None:
            return gaps
        return [*calendar.expected(kind.expect, arrivals, zone=self._connection.zone, name=kind.name, since=since, now=now), *gaps]

    def probe(self, *, now: datetime) -> Iterator[Finding]:
        """Says whether the folders can be read and tidied, and what the files waiting there are like."""
        if not self._arrivals.places:
            yield Finding("folders", ok=True, words="no folder is watched; files come by `tidegate ingest`")
        well = True
        for place in self._arrivals.places:
            for finding in place.prove(self._drop.targets()):
                well = well and finding.ok
                yield finding
        for kind in self._drop.files if well else ():
            try:
                waiting = self._arrivals.look(kind.signs()).complete
                yield Finding(f"files of {kind.stream}", ok=True, words=f"{len(waiting)} complete files match {kind.pattern}")
                if waiting:
                    yield self._tried(kind, waiting[-1], now)
            except SourceError as error:
                yield Finding(f"files of {kind.stream}", ok=False, words=error.detail)

    def close(self) -> None:
        """Lets go of the server's session, where there is one."""
        self._arrivals.close()

    def _tried(self, kind: FileKind, dropped: Dropped, now: datetime) -> Finding:
        name = dropped.file.name
        content = self._intake.read(dropped, kind)
        if content is None:
            return Finding(name, ok=True, words="is still being written")
        try:
            mapped = map_file(content.body, content.arrival(name, now), kind, self._speaker)
        except DataError as error:
            return Finding(name, ok=False, words=error.detail)
        return Finding(name, ok=True, words=f"{mapped.records} lines, {mapped.rejects.height} of them can't be read")

    def _tidy(self, kind: FileKind, dropped: Dropped, content: Content, now: datetime) -> None:
        """A file that was committed but not filed away, since we were stopped between the two, is filed away now."""
        accepted, reason = True, None
        try:
            map_file(content.body, content.arrival(dropped.file.name, now), kind, self._speaker)
        except DataError as error:
            accepted, reason = False, error.detail
        self._arrivals.settle(dropped, accepted=accepted, reason=reason)

    def _kind(self, stream: str) -> FileKind:
        kind = self._drop.kind(stream)
        if kind is None:
            known = ", ".join(one.stream for one in self._drop.files)
            raise PermanentError(f"the connection declares no stream {stream!r}; it has: {known}", connection=self._connection.name)
        return kind


def _content_type(body: bytes, kind: FileKind) -> str:
    if is_packed(body):
        return "application/gzip" if body[:2] == b"\x1f\x8b" else "application/zip"
    return {"delimited": "text/csv", "idoc_xml": "application/xml"}.get(kind.format, "text/plain")


def _headers(kind: FileKind, content: Content, received: datetime) -> dict[str, str]:
    """What mapping and a person who looks at a line need to know of the file beside its bytes."""
    before = int(kind.format == "delimited" and kind.names_in_file) + int(kind.header is not None)
    headers = {
        "digest": content.digest,
        "received_at": received.astimezone(UTC).isoformat(),
        "encoding": kind.encoding,
        "first_record_line": str(before),
    }
    if kind.format.startswith("idoc") and kind.each is None:
        headers["record_mark"] = r"<IDOC[\s>]" if kind.format == "idoc_xml" else CONTROL
    if content.manifest is not None:
        headers["manifest"] = content.manifest
    if content.too_large is not None:
        headers["too_large"] = str(content.too_large)
    return headers


def _deletes(kind: FileKind) -> bool:
    return any(feed.otherwise == "delete" for feed in kind.entities)


def _numbers(name: str, body: bytes, kind: FileKind) -> tuple[int | None, int | None]:
    """(period, sequence) by the name or the header; (None, None) for a file that can't be read: mapping will say why."""
    try:
        header = tables(body, kind)[0][1].header if kind.header is not None else {}
    except DataError:
        header = {}
    return wire.numbering(name, header, kind)
