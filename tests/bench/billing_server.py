"""A host of billing documents in a process of its own: pages rendered before the clock starts, answered as fast as a socket goes.

    python -m tests.bench.billing_server PAGES     prints its address, serves until its input ends

A request says where to go on by the stamp in $filter or by $skip; `/latency?ms=N` makes every later answer wait.
"""

from __future__ import annotations

import http.server
import re
import sys
import threading
import time
from contextlib import AbstractContextManager
from datetime import datetime
from urllib.parse import parse_qsl, urlsplit

from tests.bench.billing_pages import STEP, metadata, page, place
from tests.bench.served import served

_SINCE = re.compile(r"LastChangeDateTime ge datetimeoffset'([^']+)'")


def serving(pages: int) -> AbstractContextManager[str]:
    """The address of a host with `pages` pages, in its own process, stopped at the end."""
    return served("tests.bench.billing_server", pages)


class _Host(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 1 << 20
    bodies: list[bytes]
    described: bytes
    wait = 0.0

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""

    def do_GET(self) -> None:
        split = urlsplit(self.path)
        query = dict(parse_qsl(split.query))
        if split.path == "/latency":
            _Host.wait = float(query["ms"]) / 1000
            return self._send(b"{}", "application/json")
        if split.path.endswith("$metadata"):
            return self._send(self.described, "application/xml")
        time.sleep(self.wait)
        before = _beyond(query.get("$filter", ""))
        number, rest = divmod(int(query.get("$skip", "0")) + before, STEP)
        if rest or number >= len(self.bodies):
            return self._send(b'{"d":{"__count":"0","results":[]}}', "application/json")
        # The count is of what the filter leaves, whatever was skipped.
        count = b'{"d":{"__count":"%d",' % (len(self.bodies) * STEP - before)
        body = self.bodies[number]
        return self._send(count, "application/json", memoryview(body)[body.index(b'"results"') :])

    def _send(self, body: bytes, kind: str, rest: bytes | memoryview = b"") -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body) + len(rest)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.write(rest)
        self.wfile.flush()


def _beyond(condition: str) -> int:
    """How many records stand before what the condition asks for."""
    found = _SINCE.search(condition)
    return 0 if found is None else place(datetime.fromisoformat(found[1]))


def main() -> None:
    """Serves until standard input ends, which it does when the parent is gone."""
    pages = int(sys.argv[1])
    _Host.bodies = [page(number, pages) for number in range(pages)]
    _Host.described = metadata()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Host)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
    sys.stdin.read()
    server.shutdown()


if __name__ == "__main__":
    main()
