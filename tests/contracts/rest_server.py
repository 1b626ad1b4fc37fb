"""A small application with a JSON API on a real socket, that pages and logs in as it is told to."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from sync.connections import Connection, Landscape, LegalEntity
from tests.contracts.suite_server import Asked, Reply, ScriptedServer, reply_json

LANDSCAPE = Landscape(legal_entities=(LegalEntity(code="US01", name="Meridian Drives Inc", region="NA", currency="USD"),))
SIZE = 3
PAGINGS: dict[str, dict[str, Any]] = {
    "none": {"style": "none"},
    "page": {"style": "page", "size": SIZE, "size_param": "per_page"},
    "page with a flag": {"style": "page", "size": SIZE, "size_param": "per_page", "more": "meta.more"},
    "page with a count of pages": {"style": "page", "first": 0, "size": SIZE, "size_param": "per_page", "pages": "meta.pages"},
    "offset": {"style": "offset", "size": SIZE},
    "offset with a total": {"style": "offset", "size": SIZE, "total": "meta.total"},
    "cursor": {"style": "cursor", "cursor": "meta.next", "size_param": "limit", "size": SIZE},
    "cursor of the last record": {"style": "cursor", "param": "after", "of_record": "id", "more": "meta.more"},
    "header": {"style": "header", "header": "X-Next-Cursor"},
    "link": {"style": "link"},
    "next url": {"style": "next_url", "url": "meta.next_url"},
}
AUTHS: dict[str, dict[str, Any]] = {
    "none": {"kind": "none"},
    "basic": {"kind": "basic"},
    "bearer": {"kind": "bearer"},
    "header": {"kind": "header", "name": "X-Api-Key", "prefix": "key "},
    "query": {"kind": "query", "name": "api_key"},
    "oauth2": {"kind": "oauth2", "token_url": "{url}/oauth/token", "params": {"audience": "billing"}},
    "oauth2 in the body": {"kind": "oauth2", "token_url": "{url}/oauth/token", "client_in": "body", "scope": "read"},
}
COLUMNS: dict[str, Any] = {
    "id": {"required": True},
    "customer": {"path": "customer.id", "required": True},
    "issued": {"type": "date", "required": True},
    "total": {"path": "amount.value", "type": "amount", "required": True},
    "currency": {"path": "amount.currency", "required": True},
    "updated": {"type": "time", "required": True},
    "state": {},
}
INVOICE: dict[str, Any] = {
    "entity": "invoice", "key": "id",
    "fields": {
        "number": "id", "customer_key": "customer", "issue_date": "issued", "gross": "total", "currency": "currency",
        "status": {"column": "state", "values": {"open": "posted", "paid": "cleared"}},
    },
}  # fmt: skip
INCREMENTAL = {"param": "updated_since", "column": "updated"}
_ZERO = datetime(1970, 1, 1, tzinfo=UTC)


def record(key: str, worth: Any, at: datetime, **more: Any) -> dict[str, Any]:
    return {
        "id": key, "customer": {"id": "C1", "name": "Acme"}, "issued": "2026-05-01", "amount": {"value": worth, "currency": "USD"},
        "updated": f"{at:%Y-%m-%dT%H:%M:%SZ}", "state": "open", **more,
    }  # fmt: skip


class App:
    """`records` by key, in the order of their keys; `paging` and `auth` name the styles. `bare`: the body is the list itself."""

    def __init__(self, paging: str = "cursor", auth: str = "none", *, bare: bool = False) -> None:
        self.paging, self.auth, self.bare = paging, auth, bare
        self.records: dict[str, dict[str, Any]] = {}
        self.twice: set[str] = set()
        self.repeating = False
        self.repeated: Reply | None = None
        self.tokens = 0
        self.server = ScriptedServer(self.answer)

    def options(self, **stream: Any) -> dict[str, Any]:
        """The options of a connection to it; `stream` changes its only stream."""
        declared = {
            "stream": "invoices", "path": "v1/invoices", "records": "" if self.bare else "data", "paging": PAGINGS[self.paging],
            "incremental": INCREMENTAL, "columns": COLUMNS, "entities": [INVOICE], **stream,
        }  # fmt: skip
        auth = {name: value.format(url=self.server.url) if name == "token_url" else value for name, value in AUTHS[self.auth].items()}
        declared = {name: value for name, value in declared.items() if value is not None}
        return {"base_url": self.server.url, "auth": auth, "streams": [declared]}

    def connection(self, *, zone: str | None = None, **stream: Any) -> Connection:
        names = ("user", "password", "token", "key", "client_id", "client_secret")
        return Connection(
            name="billing", system="rest", region="NA", legal_entities=("US01",), role="erp", allow_private_addresses=True, zone=zone,
            options=self.options(**stream), secrets={name: f"env:REST_TEST_{name.upper()}" for name in names},
        )  # fmt: skip

    def asked(self, name: str) -> list[str | None]:
        """A parameter of every request for records."""
        return [asked.query.get(name) for asked in self.server.asked if asked.path == "/v1/invoices"]

    def answer(self, asked: Asked) -> Reply:
        if asked.path == "/oauth/token":
            return self._token(asked)
        if not self._known(asked):
            return reply_json({"error": {"message": "who are you?"}}, 401)
        if asked.path != "/v1/invoices":
            return reply_json({"message": "no such thing"}, 404)
        if self.repeating and self.repeated is not None:
            return self.repeated
        self.repeated = self._page(asked)
        return self.repeated

    def _token(self, asked: Asked) -> Reply:
        form = asked.form()
        basic = base64.b64encode(b"id:s3cret").decode()
        proven = asked.headers.get("authorization") == f"Basic {basic}" or (form.get("client_id"), form.get("client_secret")) == (
            "id",
            "s3cret",
        )
        if not proven:
            return reply_json({"error": "invalid_client", "error_description": "unknown client"}, 401)
        self.tokens += 1
        return reply_json({"access_token": f"t{self.tokens}", "token_type": "bearer", "expires_in": 3600})

    def _known(self, asked: Asked) -> bool:
        said = asked.headers.get("authorization", "")
        return {
            "none": True,
            "basic": said == "Basic " + base64.b64encode(b"tidegate:s3cret").decode(),
            "bearer": said == "Bearer s3cret",
            "header": asked.headers.get("x-api-key") == "key s3cret",
            "query": asked.query.get("api_key") == "s3cret",
        }.get(self.auth, said == f"Bearer t{self.tokens}")

    def _page(self, asked: Asked) -> Reply:
        since = asked.query.get("updated_since", "")
        found = [each for _, each in sorted(self.records.items()) if str(each.get("updated", "z")) >= since]
        start = self._start(asked, found)
        size = len(found) if self.paging == "none" else SIZE
        page = found[start : start + size]
        end = start + size
        more = end < len(found)
        body = page + [each for each in page if each["id"] in self.twice]
        kept = {name: value for name, value in asked.query.items() if name in ("updated_since", "status", "api_key")}
        url = f"/v1/invoices?{urlencode({**kept, 'from': end})}"
        meta = {
            "more": more, "pages": -(-len(found) // SIZE), "total": len(found), "next": f"c{end}" if more else None,
            "next_url": self.server.url + url if more else None,
        }  # fmt: skip
        headers = {"X-Next-Cursor": f"c{end}"} if more and self.paging == "header" else {}
        if self.paging == "link":
            headers["Link"] = f'<{url}>; rel="next", </v1/invoices>; rel="first"' if more else '</v1/invoices>; rel="first"'
        return Reply(json.dumps(body if self.bare else {"data": body, "meta": meta}).encode(), headers=headers)

    def _start(self, asked: Asked, found: list[dict[str, Any]]) -> int:
        query = asked.query
        if "after" in query:
            return next((place for place, each in enumerate(found) if each["id"] > query["after"]), len(found))
        if "page" in query:
            return (int(query["page"]) - int(PAGINGS[self.paging].get("first", 1))) * SIZE
        return int(query.get("offset") or query.get("from") or query.get("cursor", "c0").removeprefix("c"))


def epoch(at: datetime) -> int:
    return (at - _ZERO) // timedelta(seconds=1)
