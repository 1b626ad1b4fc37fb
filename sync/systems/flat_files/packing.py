"""A file as it came -> its plain contents: unpacked from gzip or zip within bounds that no archive may stretch. Pure."""

from __future__ import annotations

import io
import stat
import zipfile
import zlib
from pathlib import PurePosixPath

from sync.systems.flat_files.wire import unreadable

ENTRIES_MAX = 100
RATIO_MAX = 100
UNPACKED_MAX = 200 << 20
RATIO_FROM = 1 << 20
"""Below this size nobody is hurt, whatever the ratio: a small file of equal lines packs very well."""

_GZIP = b"\x1f\x8b"
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_CHUNK = 2**20
_ENCRYPTED = 0x1


def is_packed(body: bytes) -> bool:
    """Whether the bytes are gzip's or zip's."""
    return body.startswith((_GZIP, *_ZIP))


def unpacked(body: bytes, limit: int) -> list[tuple[str, bytes]]:
    """(name, content) of every file that `body` holds; one without a name when it is no archive.

    Raises DataError when it holds more than `limit` bytes (packed: at most UNPACKED_MAX), more than ENTRIES_MAX files, unpacks to more than
    RATIO_MAX times its size, is cut, encrypted, or holds an archive or a name that leads elsewhere.
    """
    if not is_packed(body):
        if len(body) > limit:
            raise unreadable(f"the file has {len(body)} bytes; {limit} are allowed", bytes=len(body))
        return [("", body)]
    bound = min(limit, UNPACKED_MAX)
    contents = [("", _gunzip(body, bound))] if body.startswith(_GZIP) else _unzip(body, bound)
    nested = [name for name, content in contents if is_packed(content)]
    if nested:
        raise unreadable(f"the archive holds another archive{f': {nested[0]}' if nested[0] else ''}", names=nested[:5])
    return contents


def _too_much(size: int, packed: int, bound: int) -> None:
    if size > bound:
        raise unreadable(f"the file unpacks to more than {bound} bytes", limit=bound)
    if size > RATIO_FROM and size > RATIO_MAX * packed:
        raise unreadable(f"the file unpacks to more than {RATIO_MAX} times its {packed} bytes", packed=packed)


def _gunzip(body: bytes, bound: int) -> bytes:
    """The content of a gzip file of one or more members."""
    parts: list[bytes] = []
    size, rest = 0, body
    while rest:
        member = zlib.decompressobj(wbits=31)
        while not member.eof:
            try:
                part = member.decompress(rest, _CHUNK)
            except zlib.error as error:
                raise unreadable(f"the file's compression is broken: {error}") from error
            rest = member.unconsumed_tail
            size += len(part)
            _too_much(size, len(body), bound)
            parts.append(part)
            if not member.eof and not rest and not part:
                raise unreadable("the compressed file was cut", bytes=len(body))
        rest = member.unused_data.lstrip(b"\0")
    return b"".join(parts)


def _unzip(body: bytes, bound: int) -> list[tuple[str, bytes]]:
    """The files of a zip archive, in its order; what archivers of desktops put beside them is left out."""
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            entries = archive.infolist()
            if len(entries) > ENTRIES_MAX:
                raise unreadable(f"the archive holds {len(entries)} entries; {ENTRIES_MAX} are allowed", entries=len(entries))
            for entry in entries:
                _judge(entry)
            files = [entry for entry in entries if not (entry.is_dir() or _is_litter(entry.filename))]
            names = [entry.filename for entry in files]
            if len(set(names)) != len(names):
                raise unreadable("the archive holds two files of one name", names=names[:5])
            contents: list[tuple[str, bytes]] = []
            total = 0
            for entry in files:
                content = _entry(archive, entry, total, len(body), bound)
                total += len(content)
                contents.append((entry.filename, content))
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError, OSError, ValueError, RuntimeError) as error:
        raise unreadable(f"the zip archive can't be read: {error}") from error
    if not contents:
        raise unreadable("the archive holds no file")
    return contents


def _judge(entry: zipfile.ZipInfo) -> None:
    """DataError for an entry that is encrypted, or whose name leads elsewhere."""
    parts = PurePosixPath(entry.filename.replace("\\", "/")).parts
    # Python cuts a name at its first NUL; the archive still has it.
    if ".." in parts or entry.filename.startswith(("/", "\\")) or ":" in entry.filename or "\0" in entry.orig_filename:
        raise unreadable(f"the archive holds the name {entry.filename[:100]!r}, which leads elsewhere", name=entry.filename[:200])
    if stat.S_ISLNK(entry.external_attr >> 16):
        raise unreadable(f"{entry.filename[:100]!r} in the archive is a link, which leads elsewhere", name=entry.filename[:200])
    if entry.flag_bits & _ENCRYPTED:
        raise unreadable(f"{entry.filename} in the archive is encrypted", name=entry.filename)


def _is_litter(name: str) -> bool:
    return name.startswith("__MACOSX/") or PurePosixPath(name).name in (".DS_Store", "Thumbs.db")


def _entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, before: int, packed: int, bound: int) -> bytes:
    """One entry, counted while it is read: what its directory says of its size is not believed."""
    parts: list[bytes] = []
    size = 0
    with archive.open(entry) as file:
        while part := file.read(_CHUNK):
            size += len(part)
            _too_much(before + size, packed, bound)
            parts.append(part)
    return b"".join(parts)
