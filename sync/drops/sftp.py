"""A folder on an SFTP server as a place where files are dropped."""

from __future__ import annotations

import errno
import stat
import time
from collections.abc import Iterator
from uuid import uuid4

import paramiko

from sync.drops.listing import Listing
from sync.drops.place import HEAD_BYTES, Seen, below, numbered, seen_of
from sync.drops.session import Cut, Refused, Session
from sync.errors import PermanentError, SourceError, TransientError
from sync.ports import Finding

STEP_BYTES = 128 * 1024
CUTS_MAX = 3
"""How often a file is gone on with after a cut, within its one deadline."""
_SECOND = 10**9
_NUMBERS_MAX = 1000


class SftpFolder:
    """The folder `path` of the server behind `session`; `user` and host make its words."""

    own_clock = False

    def __init__(self, session: Session, path: str, *, user: str, connection: str) -> None:
        self._session, self._path, self._connection = session, path, connection
        self._user = user

    @property
    def words(self) -> str:
        """As a URL without secrets."""
        return f"sftp://{self._user}@{self._session.server_words}/{self._path.lstrip('/')}"

    def look(self) -> list[Seen]:
        """The plain files by name, as the server lists them; links and folders are left out."""
        try:
            with self._session.doing(f"listing {self._path}") as client:
                entries = client.entries(self._path)
        except Refused as error:
            if error.errno == errno.EACCES:
                raise self._missing_right(f"{self._path} can't be listed", "listing", error) from error
            raise TransientError(f"the folder {self.words} can't be listed: {error.detail}", connection=self._connection) from error
        plain = [each for each in entries if each.mode is None or stat.S_ISREG(each.mode)]
        found = [seen_of(each.raw, each.size, None if each.changed is None else each.changed * _SECOND) for each in plain]
        return sorted((each for each in found if each is not None), key=lambda each: each.name)

    def read(self, seen: Seen, most: int) -> bytes | None:
        """The file whole. After a cut it is gone on with where it broke off, if it is still the same file."""
        ends = self._session.ends()
        body = bytearray()
        wanted = HEAD_BYTES if seen.size > most else seen.size
        for cuts in range(CUTS_MAX + 1):
            try:
                return self._read_on(seen, body, wanted, ends)
            except Refused as error:
                if error.errno == errno.ENOENT:
                    return None
                if error.errno == errno.EACCES:
                    raise self._missing_right(f"{seen.name} can't be read", "reading", error) from error
                raise TransientError(f"{seen.name} can't be read: {error.detail}", connection=self._connection) from error
            except Cut:
                if cuts == CUTS_MAX:
                    raise
        return None

    def _read_on(self, seen: Seen, body: bytearray, wanted: int, ends: float) -> bytes | None:
        with self._session.doing(f"reading {seen.name}", ends) as client:
            path = self._file(seen)
            with client.open(path, "rb") as file:
                file.MAX_REQUEST_SIZE = STEP_BYTES
                if not _same(file.stat(), seen):
                    return None
                file.seek(len(body))
                while len(body) < wanted:
                    part = file.read(min(STEP_BYTES, wanted - len(body)))
                    if not part:
                        return None  # shorter than its size: it was replaced under our hands
                    body += part
                # By its name again: renamed over it, another file may stand there now.
                whole = len(body) == wanted and _same(client.lstat(path), seen)
                return bytes(body) if whole else None

    def still(self, seen: Seen) -> bool:
        """By its state alone."""
        try:
            with self._session.doing(f"looking at {seen.name}") as client:
                return _same(client.lstat(self._file(seen)), seen)
        except Refused:
            return False

    def move(self, seen: Seen, folder: str) -> str:
        """A rename on the server, which most refuse to do over an existing file; so do we."""
        target = below(self._path, folder)
        try:
            with self._session.doing(f"moving {seen.name}") as client:
                _make(client, target)
                for number in range(1, _NUMBERS_MAX):
                    place = f"{target}/".encode() + numbered(seen.raw.decode("latin-1"), number).encode("latin-1")
                    if not _is_there(client, place) and _renamed(client, self._file(seen), place):
                        return numbered(seen.name, number)
        except Refused as error:
            if error.errno == errno.ENOENT and not self._is_seen(seen):
                return seen.name  # gone already: an earlier try went through after all
            raise self._missing_right(
                f"{seen.name} can't be moved to {target}", "renaming files and making folders, or set archive to none,", error
            ) from error
        raise PermanentError(f"{target} holds {_NUMBERS_MAX} files called {seen.name}: tidy it", connection=self._connection)

    def write(self, folder: str, name: str, body: bytes) -> None:
        """Writes a small file; PermanentError when the server does not allow it."""
        target = below(self._path, folder)
        try:
            with self._session.doing(f"writing {name}") as client:
                _make(client, target)
                with client.open(f"{target}/{name}", "wb") as file:
                    file.write(body)
        except Refused as error:
            raise self._missing_right(f"{name} can't be written to {target}", "writing there", error) from error

    def prove(self, folders: tuple[str, ...]) -> Iterator[Finding]:
        """Address, host key and credentials; then listing, renaming and the server's clock, by a file of ours that is taken away again."""
        try:
            with self._session.doing("connecting"):
                pass
        except SourceError as error:
            yield Finding(f"server {self._session.server_words}", ok=False, words=error.detail)
            return
        yield Finding(f"server {self._session.server_words}", ok=True, words=f"reached; its key is the one we know; {self._user} is let in")
        try:
            count = len(self.look())
        except SourceError as error:
            yield Finding(f"folder {self._path}", ok=False, words=error.detail)
            return
        yield Finding(f"folder {self._path}", ok=True, words=f"can be listed; it holds {count} files")
        if folders:
            yield from self._prove_rights(folders)

    def _prove_rights(self, folders: tuple[str, ...]) -> Iterator[Finding]:
        name = f".tidegate-{uuid4().hex}.tmp"
        path = f"{self._path}/{name}"
        try:
            with self._session.doing("trying to move a file") as client:
                with client.open(path, "wb") as file:
                    file.write(b"Tidegate tries whether files may be moved here.\n")
                off = (client.lstat(path).st_mtime or 0) - time.time()
                for folder in folders:
                    _make(client, below(self._path, folder))
                    client.rename(path, f"{below(self._path, folder)}/{name}")
                    path = f"{below(self._path, folder)}/{name}"
                client.remove(path)
        except Refused as error:
            words = (
                f"files can't be moved out of {self._path} ({error.detail}): ask for the right to rename, and to make {', '.join(folders)}"
            )
            yield Finding(f"archive in {self._path}", ok=False, words=words)
            self._take_away(path)
            return
        yield Finding(f"archive in {self._path}", ok=True, words="files can be moved")
        words = f"the server's clock is {abs(off):.0f} s {'ahead of' if off > 0 else 'behind'} ours"
        yield Finding("clock", ok=abs(off) <= 60, words=words)

    def _take_away(self, path: str) -> None:
        try:
            with self._session.doing("tidying") as client:
                client.remove(path)
        except SourceError:
            return  # it was never there, or may not be removed: its name begins with a dot and is never taken for a file

    def close(self) -> None:
        """Ends the session, which folders of one server share."""
        self._session.close()

    def _file(self, seen: Seen) -> bytes:
        return self._path.encode() + b"/" + seen.raw

    def _is_seen(self, seen: Seen) -> bool:
        return any(each.raw == seen.raw for each in self.look())

    def _missing_right(self, what: str, right: str, error: Refused) -> PermanentError:
        return PermanentError(
            f"{what} on {self._session.server_words}: {error.detail}; allow {right} for {self._user}", connection=self._connection
        )


def _same(state: paramiko.SFTPAttributes, seen: Seen) -> bool:
    plain = state.st_mode is None or stat.S_ISREG(state.st_mode)
    return plain and (state.st_size, (state.st_mtime or 0) * _SECOND) == (seen.size, seen.changed)


def _is_there(client: Listing, path: bytes) -> bool:
    try:
        client.lstat(path)
    except FileNotFoundError:
        return False
    return True


def _renamed(client: Listing, old: bytes, new: bytes) -> bool:
    """Renames; False when another worker was quicker and something stands at `new`."""
    try:
        client.rename(old, new)
    except OSError:
        if not _is_there(client, new):
            raise
        return False
    return True


def _make(client: Listing, folder: str) -> None:
    """Makes the folder if it is not there."""
    if _is_there(client, folder.encode()):
        return
    try:
        client.mkdir(folder)
    except OSError:
        if not _is_there(client, folder.encode()):  # another worker made it meanwhile
            raise
