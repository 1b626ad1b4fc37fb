"""Folders, here or on an SFTP server, into which a bank drops its statements: whole files only, each once, filed away when settled."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from sync.connections import Connection, Landscape
from sync.declared.declaration import read_options
from sync.drops.arrivals import Arrivals, Dropped, Signs
from sync.drops.places import places_of
from sync.errors import DataError, SourceError
from sync.ports import Arrived, Capabilities, Cursor, Expected, Finding, Mapped, Page, Pending, Stream
from sync.statements import Owners, Reading, Schemas, encoding_of, has_end, read
from sync.systems.bank_files.settings import Settings

STREAM = "statements"
KNOWN_FILES = 5000
"""So many files are remembered; more only while they still lie in a folder."""
MAX_FILE_BYTES = 200 << 20
READINGS_KEPT = 4
_ENTITIES = ("bank_account", "bank_balance", "bank_transaction", "payment")
_TOO_LARGE = "too_large"


class BankFiles:
    """The `statements` stream of one bank's drop. A cursor holds `seen` (file name -> digest), `chain` (account -> closing balance that the
    next statement has to follow) and `growing` (files that were not complete when last looked at).
    """

    def __init__(self, connection: Connection, landscape: Landscape, wall: Callable[[], float] = time.time) -> None:
        """Raises ConfigError when an option is wrong."""
        self._name, self._zone = connection.name, connection.zone
        self._settings = read_options(Settings, connection)
        self._signs = Signs(self._settings.pattern, self._settings.done_suffix)
        self._resting = Signs(self._settings.pattern, self._settings.done_suffix, stable_seconds=self._settings.settle_seconds)
        self._arrivals = Arrivals(places_of(connection, self._settings), self._settings, wall=wall, reason_suffix=".reason.txt")
        self._owners = Owners.of(connection, landscape)
        self._schemas = Schemas(Path(self._settings.xsd_folder).expanduser() if self._settings.xsd_folder else None)
        self._readings: dict[tuple[str, str], Reading] = {}

    def streams(self) -> tuple[Stream, ...]:
        """One stream: every statement file of the folders."""
        return (Stream(STREAM, _ENTITIES, Capabilities(incremental=True), atomic=True),)

    def pull(self, stream: str, cursor: Cursor | None, *, now: datetime) -> Iterator[Page | Pending]:  # noqa: ARG002  (there is one)
        """Each complete file not seen before, oldest first; a file that is still being written is waited for."""
        seen: dict[str, str] = dict((cursor or {}).get("seen", {}))
        chain: Mapping[str, Mapping[str, str]] = dict((cursor or {}).get("chain", {}))
        rested, growing = self._rested(cursor)
        waits = False
        waiting = self._waiting()
        present = {dropped.file.name for dropped in waiting}
        for dropped in waiting:
            body = dropped.place.read(dropped.file, MAX_FILE_BYTES)
            if body is None:
                continue  # somebody took it away, or went on writing, between listing and reading
            too_large = dropped.file.size > MAX_FILE_BYTES
            if not (too_large or self._settings.done_suffix or has_end(body) or _path(dropped) in rested):
                waits = waits or not dropped.place.own_clock
                continue
            name, digest = dropped.file.name, hashlib.sha256(body).hexdigest()
            if seen.get(name) == digest:
                self._tidy(dropped, body, now)
                continue
            headers = {
                "chain": json.dumps(chain, sort_keys=True),
                "received_at": now.astimezone(UTC).isoformat(),
                "encoding": encoding_of(body),
            }
            if too_large:
                headers[_TOO_LARGE] = str(dropped.file.size)
            else:
                chain = self._after(chain, body, headers["received_at"])
            seen.pop(name, None)
            seen = _within_bounds({**seen, name: digest}, present)
            yield Page(body, _content_type(body), {"seen": seen, "chain": chain, "growing": growing}, name=name, headers=headers)
        if waits:
            # A server's clock is not ours: the file has rested when two looks, this far apart, show the same.
            words = "a file has not come to its end yet"
            yield Pending({"seen": seen, "chain": chain, "growing": growing}, self._settings.settle_seconds, words)

    def page_of(self, path: Path) -> Page:
        """The file at `path` as a page of its own, wherever it lies; the stream's cursor stays where it is."""
        received = datetime.fromtimestamp(path.stat().st_mtime, UTC).isoformat()
        body = path.read_bytes()
        return Page(body, _content_type(body), None, name=path.name, headers={"received_at": received, "encoding": encoding_of(body)})

    def map(self, stream: str, page: Page) -> Mapped:  # noqa: ARG002  (there is one)
        """The statements of the file in canonical words; DataError when it can't be believed as a whole."""
        headers = page.headers
        if _TOO_LARGE in headers:
            words = f"{page.name} has {int(headers[_TOO_LARGE]) >> 20} MB, more than {MAX_FILE_BYTES >> 20}: ask for smaller files"
            raise DataError(words, cause="file_unreadable", evidence={"bytes": int(headers[_TOO_LARGE])}, connection=self._name)
        reading = self._reading(page.body, headers.get("received_at"))
        return reading.mapped(json.loads(headers.get("chain", "{}")), sequences=self._settings.sequence_numbers)

    def settled(self, stream: str, page: Page, *, accepted: bool, reason: str | None) -> None:  # noqa: ARG002
        """Archives an accepted file; sets a refused one aside, with the reason beside it. Another file under its name is left alone."""
        if page.name is None:
            return
        dropped = self._arrivals.find(page.name, self._signs)
        if dropped is not None and dropped.place.read(dropped.file, MAX_FILE_BYTES) == page.body:
            self._arrivals.settle(dropped, accepted=accepted, reason=reason)

    def expected(self, stream: str, arrivals: Sequence[Arrived], *, since: datetime | None, now: datetime) -> Sequence[Expected]:  # noqa: ARG002
        """What the bank was to deliver since `since`, and the next to come, given the files that have come."""
        return [each for one in self._settings.expect for each in one.awaited(arrivals, zone=self._zone, since=since, now=now)]

    def probe(self, *, now: datetime) -> Iterator[Finding]:
        """Whether the places can be read, files can be moved, and what waits there can be understood."""
        if not self._arrivals.places:
            yield Finding("folder", ok=True, words="no folder is watched; files come by `tidegate ingest`")
            return
        sound = True
        for place in self._arrivals.places:
            for finding in place.prove(self._settings.targets()):
                sound = sound and finding.ok
                yield finding
        if sound:
            yield from self._first_file(now)

    def close(self) -> None:
        """Lets go of the server's session."""
        self._arrivals.close()

    def _first_file(self, now: datetime) -> Iterator[Finding]:
        waiting = self._waiting()
        yield Finding("files", ok=True, words=f"{len(waiting)} file(s) waiting")
        for dropped in waiting[:1]:
            try:
                body = dropped.place.read(dropped.file, MAX_FILE_BYTES) or b""
                found = self._reading(body, now.astimezone(UTC).isoformat()).mapped({})
                formats = sorted(
                    {total.subject.rpartition(": ")[2].partition(",")[0] for total in found.control_totals if total.verdict == "parses"}
                )
                yield Finding("first file", ok=True, words=f"{dropped.file.name}: {', '.join(formats)}, {found.records} records")
            except SourceError as error:
                yield Finding("first file", ok=False, words=f"{dropped.file.name}: {error.detail}")

    def _waiting(self) -> list[Dropped]:
        """The files of all places, oldest first: so the days of an account come in their order."""
        return sorted(self._arrivals.look(self._signs).complete, key=lambda each: (each.file.changed, each.file.name))

    def _rested(self, cursor: Cursor | None) -> tuple[set[str], dict[str, list[int]]]:
        """The paths of the files that have rested, and what is to be remembered of those that have not."""
        look = self._arrivals.look(self._resting, (cursor or {}).get("growing"))
        return {_path(each) for each in look.complete}, look.growing

    def _after(self, chain: Mapping[str, Any], body: bytes, received: str) -> Mapping[str, Mapping[str, str]]:
        """The chain after this file; one that is refused moves nothing. Whatever goes wrong is said when the page is mapped."""
        try:
            return self._reading(body, received, keep=True).followed(chain)
        except Exception:
            return chain

    def _reading(self, body: bytes, received: str | None, *, keep: bool = False) -> Reading:
        """The file read; what was read to move the chain is kept for the mapping that follows."""
        key = (hashlib.sha256(body).hexdigest(), received or "")
        found = self._readings.pop(key, None)
        if found is None:
            moment = datetime.fromisoformat(received) if received else None
            found = read(body, self._owners, received=moment, schemas=self._schemas)
        if keep:
            while len(self._readings) >= READINGS_KEPT:
                self._readings.pop(next(iter(self._readings)), None)
            self._readings[key] = found
        return found

    def _tidy(self, dropped: Dropped, body: bytes, now: datetime) -> None:
        """A file that was committed but not filed away, since we were stopped between the two, is filed away now."""
        accepted, reason = True, None
        try:
            self._reading(body, now.astimezone(UTC).isoformat())
        except DataError as error:
            accepted, reason = False, error.detail
        self._arrivals.settle(dropped, accepted=accepted, reason=reason)


def _path(dropped: Dropped) -> str:
    return f"{dropped.place.words}/{dropped.file.name}"


def _within_bounds(seen: Mapping[str, str], present: Collection[str]) -> dict[str, str]:
    """Without the oldest of those that have left the folders, as far as there are too many: one that still lies there would be taken anew."""
    surplus = len(seen) - KNOWN_FILES
    gone = set(islice((name for name in seen if name not in present), surplus)) if surplus > 0 else set[str]()
    return {name: digest for name, digest in seen.items() if name not in gone}


def _content_type(body: bytes) -> str:
    """XML by its first sign; of the other formats no line is a record by itself."""
    return "application/xml" if body[:64].lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<") else "application/octet-stream"
