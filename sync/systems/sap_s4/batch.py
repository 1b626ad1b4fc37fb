"""$batch: several reads in one request. What it sends and how its multipart answer is read. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import httpx

from sync.errors import TransientError

_BOUNDARY = re.compile(rb'boundary=(?:"([^"]+)"|([^";,\s]+))', re.IGNORECASE)
_STATUS = re.compile(rb"^HTTP/\d(?:\.\d)? +(\d{3})")


@dataclass(frozen=True, slots=True)
class Part:
    """One answer out of a $batch."""

    status: int
    headers: httpx.Headers
    body: bytes


def write(targets: Sequence[str], accept: str, boundary: str) -> bytes:
    """The body that asks for `targets`, each relative to the service's root, with its query."""
    parts = [
        f"--{boundary}\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\n"
        f"GET {target} HTTP/1.1\r\nAccept: {accept}\r\n\r\n\r\n"
        for target in targets
    ]
    return ("".join(parts) + f"--{boundary}--\r\n").encode()


def read(content_type: str, body: bytes) -> list[Part]:
    """The answers in the order in which they were asked for, those of a change set one after the other in its place.

    Raises TransientError when this is no multipart answer, or cut short.
    """
    kind = content_type.encode("ascii", "replace")
    if b"multipart/mixed" not in kind.lower() or _BOUNDARY.search(kind) is None:
        raise TransientError(f"$batch was answered with {content_type or 'no content type'} where multipart/mixed was expected")
    return _parts(kind, body)


def _parts(kind: bytes, body: bytes) -> list[Part]:
    found = _BOUNDARY.search(kind)
    if found is None:
        raise TransientError("a part of the answer to $batch names no boundary")
    # A boundary is a line of its own: a record may hold the same signs, and another boundary begin with them.
    mark = re.compile(rb"(?:\A|\r?\n)--" + re.escape(found[1] or found[2]) + rb"(--)?[ \t]*(?=\r?\n|\Z)")
    marks = list(mark.finditer(body))
    if not marks or marks[-1][1] is None:
        raise TransientError("the answer to $batch was cut before its end")
    pieces = [body[one.end() : following.start()] for one, following in pairwise(marks)]
    parts: list[Part] = []
    for piece in pieces:
        outer, inner = _cut(piece.lstrip(b"\r\n"))
        nested = b"multipart/mixed" in outer.lower()
        parts += _parts(outer, inner) if nested else [_part(piece)]
    return parts


def _part(piece: bytes) -> Part:
    outer, inner = _cut(piece.lstrip(b"\r\n"))
    if b"application/http" not in outer.lower():
        raise TransientError("a part of the answer to $batch is no answer of HTTP")
    head, body = _cut(inner.lstrip(b"\r\n"))
    status = _STATUS.match(head)
    if status is None:
        raise TransientError("a part of the answer to $batch has no status")
    headers = [line.partition(b":") for line in re.split(rb"\r?\n", head)[1:] if b":" in line]
    told = httpx.Headers([(name.strip(), value.strip()) for name, _, value in headers])
    length = told.get("content-length", "")
    whole = body.rstrip(b"\r\n") if not length.isdigit() else body[: int(length)]
    if length.isdigit() and len(whole) < int(length):
        raise TransientError("a part of the answer to $batch was cut before its end")
    return Part(int(status[1]), told, whole)


def _cut(data: bytes) -> tuple[bytes, bytes]:
    """Head and rest, at the first empty line."""
    found = re.search(rb"\r?\n\r?\n", data)
    return (data, b"") if found is None else (data[: found.start()], data[found.end() :])
