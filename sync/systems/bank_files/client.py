"""A folder into which a bank drops its statements: whole files only, each once, archived or set aside when it is settled."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path

from sync.connections import ConfigError, Connection, Landscape
from sync.errors import DataError, TransientError
from sync.ports import Capabilities, Cursor, Finding, Mapped, Page, Stream
from sync.statements import Owners, followed, mapped

STREAM = "statements"
KNOWN_FILES = 5000
MAX_FILE_BYTES = 200 << 20
_UNFINISHED = (".part", ".tmp", ".filepart", ".crdownload", "~")
_ENTITIES = ("bank_account", "bank_balance", "bank_transaction", "payment")


class BankFiles:
    """The `statements` stream of one drop folder. Options: folder, pattern (`*.xml`), accounts (id -> legal entity),
    settle_seconds (how long an incomplete file may still be growing), archive (`archive`), quarantine (`quarantine`).
    """

    def __init__(self, connection: Connection, landscape: Landscape) -> None:
        options = connection.options
        self._name = connection.name
        self._folder = Path(str(options["folder"])).expanduser() if options.get("folder") else None
        self._pattern = str(options.get("pattern", "*.xml"))
        self._settle_seconds = float(options.get("settle_seconds", 5))
        self._archive = str(options.get("archive", "archive"))
        self._quarantine = str(options.get("quarantine", "quarantine"))
        unknown = set(options) - {"folder", "pattern", "settle_seconds", "archive", "quarantine", "accounts", "webhook"}
        if unknown:
            raise ConfigError(f"connection {connection.name}: bank_files knows no option {', '.join(sorted(unknown))}")
        self._owners = Owners.of(connection, landscape)

    def streams(self) -> tuple[Stream, ...]:
        """One stream: every statement file of the folder."""
        return (Stream(STREAM, _ENTITIES, Capabilities(incremental=True), atomic=True),)

    def pull(self, stream: str, cursor: Cursor | None, *, now: datetime) -> Iterator[Page]:  # noqa: ARG002  (files carry their own times)
        """Each complete file not seen before, oldest first; a file that is still being written is left for the next time."""
        seen: dict[str, str] = dict((cursor or {}).get("seen", {}))
        chain: dict[str, Mapping[str, str]] = dict((cursor or {}).get("chain", {}))
        for path in self._waiting():
            body = self._read(path)
            if body is None or self._is_growing(path, body):
                continue
            digest = hashlib.sha256(body).hexdigest()
            if seen.get(path.name) == digest:
                self._move(path, self._archive)
                continue
            before = {account: dict(closing) for account, closing in chain.items()}
            seen.pop(path.name, None)
            seen[path.name] = digest
            seen = dict(list(seen.items())[-KNOWN_FILES:])
            chain = dict(followed(chain, body))
            yield Page(
                body=body,
                content_type="application/xml",
                cursor={"seen": seen, "chain": chain},
                name=path.name,
                headers={"chain": json.dumps(before, sort_keys=True)},
            )

    def page_of(self, path: Path) -> Page:
        """The file at `path` as a page of its own, wherever it lies; the stream's cursor stays where it is."""
        return Page(body=path.read_bytes(), content_type="application/xml", cursor=None, name=path.name)

    def map(self, stream: str, page: Page) -> Mapped:  # noqa: ARG002  (there is one)
        """The statements of the file in canonical words."""
        return mapped(page.body, self._owners, json.loads(page.headers.get("chain", "{}")))

    def settled(self, stream: str, page: Page, *, accepted: bool, reason: str | None) -> None:  # noqa: ARG002
        """Archives an accepted file; sets a refused one aside, with the reason beside it."""
        if self._folder is None or page.name is None:
            return
        path = self._folder / page.name
        if not path.is_file() or path.read_bytes() != page.body:
            return  # another file has come under this name: it is pulled next
        moved = self._move(path, self._archive if accepted else self._quarantine)
        if not accepted:
            moved.with_name(moved.name + ".reason.txt").write_text((reason or "refused") + "\n", encoding="utf-8")

    def probe(self, *, now: datetime) -> Iterator[Finding]:  # noqa: ARG002
        """Whether the folder can be read, files can be moved, and what waits there can be understood."""
        if self._folder is None:
            yield Finding("folder", ok=True, words="no folder is watched; files come by `tidegate ingest`")
            return
        if not self._folder.is_dir():
            yield Finding("folder", ok=False, words=f"{self._folder} is not there: create it or correct `folder`")
            return
        waiting = list(self._waiting())
        yield Finding("folder", ok=True, words=f"{self._folder}: {len(waiting)} file(s) waiting")
        for path in waiting[:1]:
            try:
                found = self.map(STREAM, self.page_of(path))
                yield Finding("first file", ok=True, words=f"{path.name}: {found.records} records")
            except DataError as error:
                yield Finding("first file", ok=False, words=f"{path.name}: {error.detail}")

    def close(self) -> None:
        """Nothing is held open."""

    def _waiting(self) -> list[Path]:
        if self._folder is None:
            return []
        try:
            files = [path for path in self._folder.glob(self._pattern) if path.is_file()]
        except OSError as error:
            raise TransientError(f"the folder {self._folder} can't be read: {error}", connection=self._name) from error
        if not files and not self._folder.is_dir():
            raise TransientError(f"the folder {self._folder} is not there", connection=self._name)
        complete = [path for path in files if not path.name.startswith(".") and not path.name.lower().endswith(_UNFINISHED)]
        return sorted(complete, key=lambda path: (path.stat().st_mtime_ns, path.name))

    def _read(self, path: Path) -> bytes | None:
        try:
            if path.stat().st_size > MAX_FILE_BYTES:
                raise DataError(f"{path.name} has more than {MAX_FILE_BYTES >> 20} MB", cause="file_unreadable", connection=self._name)
            return path.read_bytes()
        except FileNotFoundError:
            return None  # somebody took it away between listing and reading

    def _is_growing(self, path: Path, body: bytes) -> bool:
        """Whether the file has no end yet and is young enough to be still on its way."""
        if body.rstrip().endswith(b">") and b"</" in body[-200:] and body.rstrip()[-12:].endswith(b"Document>"):
            return False
        return time.time() - path.stat().st_mtime < self._settle_seconds

    def _move(self, path: Path, folder: str) -> Path:
        target = path.parent / folder
        target.mkdir(exist_ok=True)
        place = target / path.name
        if place.exists():
            place = target / f"{path.stem}.{hashlib.sha256(path.read_bytes()).hexdigest()[:8]}{path.suffix}"
        return path.replace(place)
