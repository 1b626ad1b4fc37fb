"""$batch of OData V2: several GETs in one request, each answered as by itself."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

_BOUNDARY = re.compile(r'boundary="?([^";,\s]+)"?')
_GET = re.compile(rb"^GET +(\S+) +HTTP/1\.1\r?\n", re.MULTILINE)


def answer(request: Request, body: bytes, root: str, one: Callable[[Request], Response]) -> Response:
    """The multipart answer; `root` is the service's path, `one` answers a single request. 400 for what is no batch of reads."""
    found = _BOUNDARY.search(request.headers.get("content-type", ""))
    if found is None or "multipart/mixed" not in request.headers.get("content-type", ""):
        return Response("Malformed $batch: no boundary", 400, media_type="text/plain")
    pieces = body.split(b"--" + found[1].encode())[1:-1]
    if any(b"multipart/mixed" in piece for piece in pieces):
        return Response("Change sets are not supported here", 501, media_type="text/plain")
    boundary, parts = f"ejjeeffe_{secrets.token_hex(6)}", []
    for piece in pieces:
        target = _GET.search(piece)
        if target is None:
            return Response("Malformed part", 400, media_type="text/plain")
        inner = one(_request(request, root, target[1].decode(), piece))
        head = f"HTTP/1.1 {inner.status_code} {'OK' if inner.status_code < 300 else 'Error'}\r\n"
        head += f"Content-Type: {inner.headers.get('content-type', 'text/plain')}\r\nContent-Length: {len(inner.body)}\r\n"
        outer = (
            f"Content-Type: application/http\r\nContent-Length: {len(head) + 2 + len(inner.body)}\r\ncontent-transfer-encoding: binary\r\n"
        )
        parts.append(f"--{boundary}\r\n{outer}\r\n{head}\r\n".encode() + bytes(inner.body) + b"\r\n")
    whole = b"".join(parts) + f"--{boundary}--\r\n".encode()
    return Response(whole, 202, {"dataserviceversion": "2.0"}, f"multipart/mixed; boundary={boundary}")


def _request(outer: Request, root: str, target: str, piece: bytes) -> Request:
    """A part as a request of its own, with the outer one's cookies and credentials."""
    split = urlsplit(target if target.startswith("/") else f"{root}/{target}")
    accept = re.search(rb"(?im)^accept: *([^\r\n]+)", piece)
    kept = [(name, value) for name, value in outer.scope["headers"] if name not in (b"accept", b"x-csrf-token", b"content-type")]
    scope: dict[str, Any] = {**outer.scope, "method": "GET", "path": split.path, "raw_path": split.path.encode(),
                             "query_string": split.query.encode()}  # fmt: skip
    scope["headers"] = [*kept, (b"accept", accept[1] if accept else b"application/json")]
    return Request(scope)
