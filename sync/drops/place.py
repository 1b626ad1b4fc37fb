"""One folder into which somebody drops files, wherever it is. Every adapter of files works with this and nothing below it."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

from sync.ports import Finding

HEAD_BYTES = 64 * 1024
"""How much of a file is kept as evidence when it is too large to be read."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A plain file as a look at the folder showed it. `size` in bytes; `changed`: its time of change by the clock of the machine that
    keeps it, nanoseconds since 1970 UTC; `raw`: its name as that machine has it, of which `name` is the printable form.
    """

    name: str
    size: int
    changed: int
    raw: bytes = field(repr=False)


class Place(Protocol):
    """Raises TransientError for an outage or a passed deadline, AuthError when it refuses us, PermanentError when a right is missing."""

    @property
    def words(self) -> str:
        """What a person calls it: the folder, with its server. Holds no secret."""
        ...

    @property
    def own_clock(self) -> bool:
        """Whether `Seen.changed` is stamped by this machine's clock, so that a file's age is known at one look."""
        ...

    def look(self) -> list[Seen]:
        """The plain files in the folder by name; no link, no sub-folder, nothing below."""
        ...

    def read(self, seen: Seen, most: int) -> bytes | None:
        """The file whole; None when it is gone, grows or was replaced since it was seen. Of one larger than `most` only the first HEAD_BYTES."""
        ...

    def still(self, seen: Seen) -> bool:
        """Whether the file is there as it was seen, by size and time of change."""
        ...

    def move(self, seen: Seen, folder: str) -> str:
        """Moves the file into `folder` (below this one, made when missing) and returns its name there: its own, or with a number behind it
        where a file of that name lies already. Nothing is ever overwritten.
        """
        ...

    def write(self, folder: str, name: str, body: bytes) -> None:
        """Writes a small file of ours into `folder`, in place of one of that name."""
        ...

    def prove(self, folders: tuple[str, ...]) -> Iterator[Finding]:
        """What `connections test` says of it: reached, known, let in, may list, may move files into `folders`, and how its clock stands."""
        ...

    def close(self) -> None:
        """Lets go of the connection."""
        ...


def seen_of(raw: bytes, size: int | None, changed: int | None) -> Seen | None:
    """The file of a listing, or None where the name would lead somewhere else. Bytes that are no UTF-8 stay visible by their numbers."""
    name = raw.decode("utf-8", errors="backslashreplace")
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        return None
    return Seen(name, -1 if size is None else size, 0 if changed is None else changed, raw)


def numbered(name: str, number: int) -> str:
    """`name`, from the second try on with a number behind it."""
    return name if number == 1 else f"{name}.{number}"


def below(folder: str, part: str) -> str:
    """The path of `part` in `folder`, with slashes; an absolute `part` stands for itself."""
    return posixpath.join(folder, part)
