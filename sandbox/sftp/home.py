"""What a partner may do in his home, which is one folder of this machine: list, read, rename, and make folders. No link is followed."""

from __future__ import annotations

import errno
import os
import posixpath
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import paramiko
from paramiko.sftp import SFTP_FAILURE, SFTP_NO_SUCH_FILE, SFTP_OK, SFTP_PERMISSION_DENIED

from sandbox.faults import Dial

Answer = Any
"""What the library takes: the thing asked for, or a number of the protocol that says why not."""


class Home(paramiko.SFTPServerInterface):
    """One session's view of `root`. Whatever path is asked for is one below it. `cut` ends the session without a word."""

    def __init__(self, server: paramiko.ServerInterface, system: str, root: Path, dial: Dial, cut: Callable[[], None]) -> None:
        super().__init__(server)
        self._system, self._root, self._dial, self._cut = system, root.resolve(), dial, cut

    def list_folder(self, path: str) -> Answer:
        """Everything in a folder, with sizes and times."""
        return self._tried(lambda: self._listed(self._local(path)))

    def stat(self, path: str) -> Answer:
        """The state of a file; links are none here."""
        return self.lstat(path)

    def lstat(self, path: str) -> Answer:
        """The state of a file."""
        return self._tried(lambda: paramiko.SFTPAttributes.from_stat(os.lstat(self._local(path))))

    def open(self, path: str, flags: int, attr: paramiko.SFTPAttributes) -> Answer:
        """A file to be read, or written by its owner's partner."""
        writes = flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        if writes and self._read_only():
            return SFTP_PERMISSION_DENIED
        return self._tried(lambda: self._opened(self._local(path), flags, reading=not writes))

    def rename(self, oldpath: str, newpath: str) -> Answer:
        """Moves a file; never over another one."""
        return self._changed(lambda: self._renamed(self._local(oldpath), self._local(newpath)))

    def remove(self, path: str) -> Answer:
        """Takes a file away."""
        return self._changed(lambda: self._local(path).unlink())

    def mkdir(self, path: str, attr: paramiko.SFTPAttributes) -> Answer:
        """Makes a folder."""
        return self._changed(lambda: self._local(path).mkdir(0o755))

    def canonicalize(self, path: str) -> str:
        """An absolute path; above the home there is nothing."""
        return posixpath.normpath("/" + path).replace("//", "/")

    def _local(self, path: str) -> Path:
        """Where `path` lies; FileNotFoundError when a link leads there."""
        found = self._root / self.canonicalize(path).lstrip("/")
        if found.parent.resolve() != found.parent:
            raise FileNotFoundError(errno.ENOENT, "there is no such folder")
        return found

    def _listed(self, folder: Path) -> list[paramiko.SFTPAttributes]:
        if folder.is_symlink():
            raise FileNotFoundError(errno.ENOENT, "there is no such folder")
        found = list[paramiko.SFTPAttributes]()
        with os.scandir(folder) as entries:
            for entry in entries:
                try:
                    found.append(paramiko.SFTPAttributes.from_stat(entry.stat(follow_symlinks=False), entry.name))
                except FileNotFoundError:  # renamed under our hands
                    continue
        return found

    def _opened(self, path: Path, flags: int, *, reading: bool) -> paramiko.SFTPHandle:
        number = os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o644)
        file = os.fdopen(number, "rb" if reading else "wb")
        handle = Handle(flags)
        handle.readfile, handle.writefile = file, file
        if reading:
            self._hamper(handle, os.fstat(number).st_size)
        return handle

    def _hamper(self, handle: Handle, size: int) -> None:
        """What the fault dial says about the reading of a file."""
        if self._dial.take(self._system, "truncated") is not None:
            handle.ends, handle.cut = size // 2, self._cut
        slow = self._dial.take(self._system, "slow")
        if slow is not None:
            handle.step, handle.pause = int(slow.options.get("chunk", 1)), float(slow.options.get("pause", 0.5))

    def _renamed(self, old: Path, new: Path) -> None:
        if os.path.lexists(new):
            raise FileExistsError(errno.EEXIST, "is there already")
        old.rename(new)

    def _read_only(self) -> bool:
        return self._dial.peek(self._system, "read_only") is not None

    def _changed(self, do: Callable[[], None]) -> int:
        if self._read_only():
            return int(SFTP_PERMISSION_DENIED)
        outcome = self._tried(do)
        return int(SFTP_OK) if outcome is None else int(outcome)

    def _tried(self, do: Callable[[], Answer]) -> Answer:
        if self._dial.peek(self._system, "outage") is not None:
            self._cut()
            return SFTP_FAILURE
        try:
            return do()
        except FileNotFoundError:
            return SFTP_NO_SUCH_FILE
        except OSError as error:
            return paramiko.SFTPServer.convert_errno(error.errno or 0)


class Handle(paramiko.SFTPHandle):
    """An open file. `ends` and `cut`: where its reading breaks off, and how. `step` and `pause`: how it drips."""

    readfile: Any
    writefile: Any
    ends: int | None = None
    cut: Callable[[], None] | None = None
    step: int | None = None
    pause: float = 0.0

    def read(self, offset: int, length: int) -> bytes | int:
        """Some bytes, none at the end."""
        if self.ends is not None:
            if offset >= self.ends:
                if self.cut is not None:
                    self.cut()
                return int(SFTP_FAILURE)
            length = min(length, self.ends - offset)
        if self.step is not None:
            time.sleep(self.pause)
            length = min(length, self.step)
        self.readfile.seek(offset)
        return bytes(self.readfile.read(length))

    def stat(self) -> Answer:
        """The state of the open file."""
        return paramiko.SFTPAttributes.from_stat(os.fstat(self.readfile.fileno()))

    def chattr(self, attr: paramiko.SFTPAttributes) -> int:
        """Modes and times are the server's own."""
        return int(SFTP_PERMISSION_DENIED)
