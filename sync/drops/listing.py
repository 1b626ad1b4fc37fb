"""paramiko's SFTP client with a listing that keeps names as bytes: one file whose name is no UTF-8 does not hide the others."""

from __future__ import annotations

from dataclasses import dataclass

import paramiko
from paramiko.sftp import CMD_CLOSE, CMD_HANDLE, CMD_NAME, CMD_OPENDIR, CMD_READDIR, SFTPError

ENTRIES_MAX = 200_000


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a listing, as the server says it; what it does not say is None."""

    raw: bytes
    size: int | None
    changed: int | None
    mode: int | None


class Listing(paramiko.SFTPClient):
    """An SFTP client that also lists by bytes."""

    def _ask(self, command: int, argument: bytes) -> tuple[int, paramiko.Message]:
        answer: tuple[int, paramiko.Message] = self._request(command, argument)  # type: ignore[attr-defined]
        return answer

    def entries(self, folder: str) -> list[Entry]:
        """Everything in `folder`, in the server's order. OSError as the protocol gives it; SFTPError for an answer that is none."""
        kind, message = self._ask(CMD_OPENDIR, folder.encode())
        if kind != CMD_HANDLE:
            raise SFTPError("the server opened no folder")
        handle = message.get_binary()
        found: list[Entry] = []
        try:
            while len(found) < ENTRIES_MAX:
                try:
                    kind, message = self._ask(CMD_READDIR, handle)
                except EOFError:
                    return found
                if kind != CMD_NAME:
                    raise SFTPError("the server's listing is none")
                for _ in range(message.get_int()):
                    raw = message.get_binary()
                    if not raw:  # the answer ends before the count it names: no file is called nothing
                        raise SFTPError("the server's listing is cut")
                    message.get_binary()  # the line as `ls -l` would show it
                    state = paramiko.SFTPAttributes._from_msg(message)  # type: ignore[attr-defined]
                    changed = None if state.st_mtime is None else int(state.st_mtime)
                    found.append(Entry(raw, state.st_size, changed, state.st_mode))
        finally:
            self._ask(CMD_CLOSE, handle)
        raise SFTPError(f"the folder holds more than {ENTRIES_MAX} entries: archive what is done")
