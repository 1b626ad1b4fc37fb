"""A scripted HTTP server on a real socket: a handler of the test's own answers, every request is kept."""

from __future__ import annotations

import http.server
import json
import os
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True)
class Asked:
    """A request as it arrived; `query` holds the last value of each name, `headers` are lower-case."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    def form(self) -> dict[str, str]:
        """The body as a form."""
        return dict(parse_qsl(self.body.decode()))


@dataclass(frozen=True)
class Reply:
    """An answer. `raw`: called instead with a function that writes bytes to the socket, which is closed afterwards."""

    body: bytes = b""
    status: int = 200
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    raw: Callable[[Callable[[bytes], None]], None] | None = None


def reply_json(value: Any, status: int = 200, **headers: str) -> Reply:
    """A JSON answer; headers with underscores for dashes."""
    return Reply(json.dumps(value).encode(), status, headers={name.replace("_", "-"): text for name, text in headers.items()})


def _drain(refused: socket.socket) -> None:
    """Reads what a refused client still sends until it is gone: a close before that would take our alert back from the wire."""
    with suppress(OSError), socket.socket(fileno=os.dup(refused.fileno())) as plain:
        plain.settimeout(10)
        while plain.recv(65_536):
            pass


class ScriptedServer:
    """Serves `handler` on a free loopback port until closed; `asked` is every request in order of arrival.

    `between`, while it is set, stands between the handler's answer and the socket: the place where a test breaks the wire.
    """

    def __init__(self, handler: Callable[[Asked], Reply], tls: ssl.SSLContext | None = None) -> None:
        self.asked: list[Asked] = []
        self.between: Callable[[Asked, Callable[[], Reply]], Reply] | None = None
        outer = self

        class _Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def log_message(self, format: str, *args: Any) -> None:
                """Says nothing."""

            def handle(self) -> None:
                try:
                    super().handle()
                except ssl.SSLError:
                    _drain(self.connection)

            def _answer(self) -> None:
                split = urlsplit(self.path)
                length = int(self.headers.get("content-length") or 0)
                asked = Asked(
                    self.command,
                    split.path,
                    dict(parse_qsl(split.query)),
                    {name.lower(): value for name, value in self.headers.items()},
                    self.rfile.read(length),
                )
                outer.asked.append(asked)
                between = outer.between
                self._send(handler(asked) if between is None else between(asked, lambda: handler(asked)))

            def _send(self, reply: Reply) -> None:
                try:
                    if reply.raw is not None:
                        self.close_connection = True
                        reply.raw(self._write)
                        return
                    self.send_response(reply.status)
                    for name, value in {"Content-Type": reply.content_type, **reply.headers}.items():
                        self.send_header(name, value)
                    if reply.status != 204:
                        self.send_header("Content-Length", str(len(reply.body)))
                    self.end_headers()
                    self.wfile.write(reply.body)
                except OSError:
                    self.close_connection = True  # the other side has had enough, as some tests mean it to

            def _write(self, data: bytes) -> None:
                self.wfile.write(data)
                self.wfile.flush()

            do_GET = do_POST = do_PATCH = do_PUT = do_HEAD = do_DELETE = _answer

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self._scheme = "http" if tls is None else "https"
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Its origin, without a slash at the end."""
        return f"{self._scheme}://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stops serving and frees the port."""
        self._server.shutdown()
        self._server.server_close()
