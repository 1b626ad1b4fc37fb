"""The door of every HTTP system: faults happen here, on the wire, around answers that know nothing of them."""

from __future__ import annotations

import asyncio
import email.utils
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from sandbox.faults import Dial, Fault

LOGIN_PAGE = "<!DOCTYPE html><html><head><title>Log on</title></head><body><form>User Password</form></body></html>"
WRITES = frozenset({"POST", "PUT", "PATCH", "MERGE", "DELETE"})


class OpenProtocol(HttpToolsProtocol):
    """HTTP as always, but the application can reach the socket, to close it the way failing systems do."""

    def on_message_begin(self) -> None:
        """Begins a request; its scope carries the transport."""
        super().on_message_begin()
        self.scope["sandbox.transport"] = self.transport  # type: ignore[typeddict-unknown-key]


@dataclass(frozen=True, slots=True)
class Target:
    """What a request is about, as far as faults care."""

    entity: str | None
    following_page: bool = False
    token: bool = False
    write: bool = False


class Gate:
    """An ASGI application: one system's answers behind the fault dial."""

    def __init__(
        self,
        system: str,
        dial: Dial,
        answer: Callable[[Request], Awaitable[Response]],
        target: Callable[[Request], Target],
        void_tokens: Callable[[], Response],
    ) -> None:
        self.system, self.dial = system, dial
        self._answer, self._target, self._void_tokens = answer, target, void_tokens

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one HTTP request."""
        request = Request(scope, receive)
        target = self._target(request)
        if self._take("outage", target, how="close"):
            await _vanish(scope)
            return
        response = self._instead(target) or await self._answer(request)
        await self._deliver(scope, receive, send, target, response)

    def _take(self, kind: str, target: Target, **like: str) -> Fault | None:
        fault = self.dial.peek(self.system, kind, target.entity)
        if fault is None or any(fault.options.get(k, v) != v for k, v in like.items()):
            return None
        return self.dial.take(self.system, kind, target.entity)

    def _instead(self, target: Target) -> Response | None:
        if self._take("outage", target, how="503"):
            return Response("<html><body>Service Unavailable</body></html>", 503, media_type="text/html")
        if fault := self._take("rate_limit", target):
            wait = float(fault.options.get("retry_after", 7))
            form = fault.options.get("form", "seconds")
            value = str(int(wait)) if form == "seconds" else email.utils.formatdate(time.time() + wait, usegmt=True)
            return Response(status_code=429, headers={} if form == "none" else {"Retry-After": value})
        if fault := self._take("server_error", target):
            return Response(str(fault.options.get("body", "")), int(fault.options.get("status", 500)))
        if not target.token and self._take("html_login", target):
            return Response(LOGIN_PAGE, media_type="text/html")
        fault = self.dial.peek(self.system, "expired_token", target.entity)
        fits = fault is not None and (target.following_page or fault.options.get("anywhere"))
        if fits and not target.token:
            self.dial.take(self.system, "expired_token", target.entity)
            return self._void_tokens()
        return None

    async def _deliver(self, scope: Scope, receive: Receive, send: Send, target: Target, response: Response) -> None:
        if target.write and response.status_code < 300 and self._take("drop_response_after_execute", target):
            await _vanish(scope)
        elif not target.token and len(response.body) > 1 and (fault := self._take("truncated", target)):
            await _cut(scope, response, told=bool(fault.options.get("content_length", True)))
        elif not target.token and (fault := self._take("slow", target)):
            await _drip(scope, send, response, fault)
        else:
            await response(scope, receive, send)


async def _vanish(scope: Scope) -> None:
    """Closes the connection without a word."""
    scope["sandbox.transport"].abort()
    await asyncio.sleep(0.01)


async def _cut(scope: Scope, response: Response, *, told: bool) -> None:
    """Sends half of the body and ends the connection; `told`: the head announced all of it."""
    half = bytes(response.body)[: len(response.body) // 2]
    length = f"content-length: {len(response.body)}\r\n" if told else ""
    head = (
        f"HTTP/1.1 {response.status_code} OK\r\ncontent-type: {response.headers.get('content-type', 'text/plain')}\r\n"
        f"{length}connection: close\r\n\r\n"
    )
    transport = scope["sandbox.transport"]
    transport.write(head.encode() + half)
    transport.close()
    await asyncio.sleep(0.01)


async def _drip(scope: Scope, send: Send, response: Response, fault: Fault) -> None:
    """Sends the body a few bytes at a time until it is out or the other side has gone."""
    chunk, pause = int(fault.options.get("chunk", 1)), float(fault.options.get("pause", 0.5))
    await send({"type": "http.response.start", "status": response.status_code, "headers": response.raw_headers})
    body = bytes(response.body)
    for at in range(0, len(body), chunk):
        if scope["sandbox.transport"].is_closing():
            return
        await send({"type": "http.response.body", "body": body[at : at + chunk], "more_body": True})
        await asyncio.sleep(pause)
    await send({"type": "http.response.body", "body": b"", "more_body": False})
