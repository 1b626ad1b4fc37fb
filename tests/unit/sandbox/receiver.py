"""A receiver of events on a real port: answers as it is told, and remembers what came."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PATIENCE = 60.0


@dataclass(frozen=True)
class Came:
    """One request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """`answer`: a request -> status, headers, body. `got` holds every request in the order of arrival."""

    url: str
    answer: Callable[[Came], tuple[int, dict[str, str], bytes]]
    got: list[Came] = field(default_factory=list)

    def posts(self) -> list[Came]:
        return [one for one in list(self.got) if one.method == "POST"]

    def wait(self, enough: Callable[[], bool], what: str) -> None:
        """Waits until `enough`; fails the test after a minute."""
        until = time.monotonic() + PATIENCE
        while not enough():
            assert time.monotonic() < until, f"waited in vain for {what}; came: {[(one.method, one.path) for one in self.got]}"
            time.sleep(0.02)


@contextmanager
def receiving(answer: Callable[[Came], tuple[int, dict[str, str], bytes]]) -> Iterator[Receiver]:
    """A receiver on a port of its own."""

    class Handler(BaseHTTPRequestHandler):
        def _take(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            came = Came(self.command, self.path, {name.lower(): value for name, value in self.headers.items()}, body)
            status, headers, reply = receiver.answer(came)
            receiver.got.append(came)
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(reply))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(reply)

        do_POST = do_OPTIONS = _take

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    receiver = Receiver(f"http://127.0.0.1:{server.server_port}", answer)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
