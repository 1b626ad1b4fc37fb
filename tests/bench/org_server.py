"""An org of opportunities in a process of its own: REST pages of 2,000 and a bulk job's of 10,000, rendered before the clock starts.

python -m tests.bench.org_server ROWS     prints its address, serves until its input ends
"""

from __future__ import annotations

import http.server
import json
import sys
import threading
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.bench.served import served

REST_PAGE, BULK_PAGE = 2_000, 10_000
FIELDS = ("Id", "SystemModstamp", "IsDeleted", "AccountId", "StageName", "CloseDate", "Name", "Amount", "CurrencyIsoCode", "Probability",
          "IsClosed", "IsWon", "Legal_Entity__c")  # fmt: skip
KINDS = {"Amount": "currency", "Probability": "percent", "IsDeleted": "boolean", "IsClosed": "boolean", "IsWon": "boolean"}
_FROM = datetime(2026, 1, 1, tzinfo=UTC)


def serving(rows: int) -> AbstractContextManager[str]:
    """The address of an org with `rows` opportunities, in its own process, stopped at the end."""
    return served("tests.bench.org_server", rows)


def record(number: int) -> dict[str, Any]:
    """The opportunity with this number, its fields in the order in which they are asked for."""
    stamp = _FROM + timedelta(seconds=number)
    return {
        "Id": f"0065g00000{number:05d}AAA", "SystemModstamp": f"{stamp:%Y-%m-%dT%H:%M:%S}.000+0000", "IsDeleted": False,
        "AccountId": f"0015g00000{number % 997:05d}AAA", "StageName": "Negotiation/Review", "CloseDate": f"2026-{number % 12 + 1:02d}-15",
        "Name": f"Deal number {number}", "Amount": number * 17 + 0.25, "CurrencyIsoCode": "EUR", "Probability": 75.0,
        "IsClosed": False, "IsWon": False, "Legal_Entity__c": "DE01",
    }  # fmt: skip


def _cell(value: Any) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value).replace(".000+0000", ".000Z")
    return f'"{text}"'


def _rest(rows: int) -> list[bytes]:
    pages = []
    for at in range(0, rows, REST_PAGE):
        records = [{"attributes": {"type": "Opportunity", "url": f"/services/data/v67.0/sobjects/Opportunity/{n}"}, **record(n)}
                   for n in range(at, min(at + REST_PAGE, rows))]  # fmt: skip
        done = at + REST_PAGE >= rows
        page: dict[str, Any] = {"totalSize": rows, "done": done, "records": records}
        if not done:
            page["nextRecordsUrl"] = f"/services/data/v67.0/query/01g-{at + REST_PAGE}"
        pages.append(json.dumps(page, separators=(",", ":")).encode())
    return pages


def _bulk(rows: int) -> list[bytes]:
    head = ",".join(f'"{name}"' for name in FIELDS)
    return [
        ("\n".join([head, *(",".join(map(_cell, record(n).values())) for n in range(at, min(at + BULK_PAGE, rows)))]) + "\n").encode()
        for at in range(0, rows, BULK_PAGE)
    ]


class _Org(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 1 << 20
    rows = 0
    rest: list[bytes]
    bulk: list[bytes]

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""

    def do_DELETE(self) -> None:
        self._send(b"", "text/plain")

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length") or 0))
        if self.path.endswith("/token"):
            return self._json({"access_token": "t"})
        return self._json({"id": "750A", "state": "UploadComplete"})

    def do_GET(self) -> None:
        split = urlsplit(self.path)
        query = dict(parse_qsl(split.query))
        if split.path.endswith("/describe"):
            return self._json({"fields": [{"name": name, "type": KINDS.get(name, "string")} for name in FIELDS]})
        if split.path.endswith("/results"):
            number = int(query.get("locator", "0"))
            following = str(number + 1) if number + 1 < len(self.bulk) else "null"
            count = str(min(BULK_PAGE, self.rows - number * BULK_PAGE))
            return self._send(self.bulk[number], "text/csv", {"Sforce-Locator": following, "Sforce-NumberOfRecords": count})
        if "/jobs/query/" in split.path:
            return self._json({"id": "750A", "state": "JobComplete", "numberRecordsProcessed": self.rows})
        if ">=" in query.get("q", ""):
            return self._json({"totalSize": 0, "done": True, "records": []})
        return self._send(self.rest[int(split.path.rpartition("-")[2]) // REST_PAGE if "-" in split.path else 0], "application/json")

    def _json(self, value: Any) -> None:
        self._send(json.dumps(value).encode(), "application/json")

    def _send(self, body: bytes, kind: str, headers: dict[str, str] | None = None) -> None:
        self.send_response(200)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()


def main() -> None:
    """Serves until standard input ends, which it does when the parent is gone."""
    _Org.rows = int(sys.argv[1])
    _Org.rest, _Org.bulk = _rest(_Org.rows), _bulk(_Org.rows)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Org)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
    sys.stdin.read()
    server.shutdown()


if __name__ == "__main__":
    main()
