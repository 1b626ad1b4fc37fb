"""The body of a request, within bounds: its size, its time, and nothing packed into it."""

from __future__ import annotations

import asyncio

from fastapi import HTTPException, Request
from starlette.requests import ClientDisconnect

SECONDS = 20.0
"""A body that has not come by then comes from nobody who means it: the largest one needs 52 kB a second."""
OVERFLOW_BYTES = 8 << 20
"""So much of a body that is too large is read and thrown away, so that its sender hears why; then the connection is closed."""
_CLOSE = {"Connection": "close"}


async def bounded(request: Request, most: int) -> bytes:
    """The body's bytes as they were sent, `most` at most. Raises HTTPException: 413 larger, 408 too slow, 415 compressed, 400 cut off."""
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and len(announced) < 20 and int(announced) > OVERFLOW_BYTES:  # noqa: PLR2004  (no number of bytes is longer)
        raise _too_large(most)
    try:
        async with asyncio.timeout(SECONDS):
            body = await _read(request, most)
    except TimeoutError:
        raise HTTPException(408, "the body did not come in time", _CLOSE) from None
    except ClientDisconnect:
        raise HTTPException(400, "the body was cut off", _CLOSE) from None
    if request.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        raise HTTPException(415, "a body is taken as it is, not compressed", {"Accept-Encoding": "identity"})
    return body


async def _read(request: Request, most: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > OVERFLOW_BYTES:
            break
        if size <= most:
            chunks.append(chunk)
        else:
            chunks.clear()
    if size > most:
        raise _too_large(most)
    return b"".join(chunks)


def _too_large(most: int) -> HTTPException:
    return HTTPException(413, f"a body may have {most} bytes at most", _CLOSE)
