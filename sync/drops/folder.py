"""A folder of this machine, or a share mounted on it, as a place where files are dropped."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from sync.drops.place import HEAD_BYTES, Seen, numbered, seen_of
from sync.errors import PermanentError, TransientError
from sync.ports import Finding


class Folder:
    """The folder at `path`; `connection` is named in errors."""

    own_clock = True

    def __init__(self, path: str, connection: str) -> None:
        self._path = Path(path).expanduser()
        self._connection = connection

    @property
    def words(self) -> str:
        """The folder's path."""
        return str(self._path)

    def look(self) -> list[Seen]:
        """The plain files by name. A folder that is not there, a share that is not mounted, is an outage, never an empty folder."""
        found = []
        try:
            with os.scandir(self._path) as entries:
                for entry in entries:
                    try:
                        state = entry.stat(follow_symlinks=False)
                    except FileNotFoundError:
                        continue
                    if stat.S_ISREG(state.st_mode):
                        found.append(seen_of(os.fsencode(entry.name), state.st_size, state.st_mtime_ns))
        except OSError as error:
            raise TransientError(
                f"the folder {self.words} can't be listed: {error.strerror or 'it is not there'}", connection=self._connection
            ) from error
        return sorted((each for each in found if each is not None), key=lambda each: each.name)

    def read(self, seen: Seen, most: int) -> bytes | None:
        """The file whole, or None when it is not what it was when it was seen."""
        try:
            # Not through a link, should somebody put one in the file's place; not waiting either, should it be a pipe.
            number = os.open(self._file(seen), os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
            with os.fdopen(number, "rb") as file:
                if not _same(os.fstat(number), seen):
                    return None
                body = file.read(HEAD_BYTES if seen.size > most else seen.size)
                return body if _same(os.fstat(number), seen) else None
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ELOOP):
                return None
            raise TransientError(f"{seen.name} can't be read: {error.strerror}", connection=self._connection) from error

    def still(self, seen: Seen) -> bool:
        """By its state alone."""
        try:
            return _same(self._file(seen).lstat(), seen)
        except OSError:
            return False

    def move(self, seen: Seen, folder: str) -> str:
        """Moves the file; PermanentError when the folder does not allow it."""
        target = self._below(folder)
        try:
            target.mkdir(parents=True, exist_ok=True)
            own = os.fsdecode(seen.raw)
            number = next(each for each in count(1) if not os.path.lexists(target / numbered(own, each)))
            shutil.move(self._file(seen), target / numbered(own, number))
        except OSError as error:
            if not os.path.lexists(self._file(seen)):
                return seen.name  # gone already: another worker was quicker
            raise PermanentError(
                f"{seen.name} can't be moved to {target}: {error.strerror}; allow it, or set archive to none",
                connection=self._connection,
            ) from error
        return numbered(seen.name, number)

    def write(self, folder: str, name: str, body: bytes) -> None:
        """Writes `body`; PermanentError when the folder does not allow it."""
        target = self._below(folder)
        try:
            target.mkdir(parents=True, exist_ok=True)
            (target / name).write_bytes(body)
        except OSError as error:
            raise PermanentError(f"{name} can't be written to {target}: {error.strerror}", connection=self._connection) from error

    def prove(self, folders: tuple[str, ...]) -> Iterator[Finding]:
        """Listing, moving and the clock, which a network share stamps by its own."""
        listed = self._path.is_dir() and os.access(self._path, os.R_OK | os.X_OK)
        yield Finding(f"folder {self.words}", ok=listed, words="can be read" if listed else "is not there or can't be read")
        if not listed or not folders:
            return
        try:
            with tempfile.NamedTemporaryFile(dir=self._path, prefix=".tidegate-", suffix=".tmp") as file:
                off = os.fstat(file.fileno()).st_mtime - time.time()
            for folder in folders:
                self._below(folder).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            yield Finding(f"archive in {self.words}", ok=False, words=f"files can't be moved ({error.strerror}): allow writing")
            return
        yield Finding(f"archive in {self.words}", ok=True, words="files can be moved")
        words = f"the clock of {self.words} is {abs(off):.0f} s {'ahead' if off > 0 else 'behind'}"
        yield Finding("clock", ok=abs(off) <= 60, words=words)

    def close(self) -> None:
        """Nothing is held open."""

    def _file(self, seen: Seen) -> Path:
        return self._path / os.fsdecode(seen.raw)

    def _below(self, folder: str) -> Path:
        return self._path / Path(folder).expanduser()


def _same(state: os.stat_result, seen: Seen) -> bool:
    return stat.S_ISREG(state.st_mode) and (state.st_size, state.st_mtime_ns) == (seen.size, seen.changed)
