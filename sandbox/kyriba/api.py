"""The treasury system over HTTP, at both styles of address: token, accounts, balances, cash flows read and written, transfers, tasks."""

from __future__ import annotations

import base64
import secrets
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from sandbox.gate import WRITES, Target
from sandbox.host import Host
from sandbox.kyriba.balances import bank_balance, cash_balances
from sandbox.kyriba.objects import (
    ACCOUNTS,
    BROKEN,
    FLOWS,
    SYSTEM,
    TRANSFERS,
    account_of,
    as_served,
    render_account,
    render_details,
    render_transfer,
)
from sandbox.kyriba.rsql import parse
from sandbox.kyriba.tasks import Tasks
from sandbox.kyriba.writes import flow_of, references_of
from sandbox.records import Entity, disturb, visible
from sandbox.world.engine import World
from sandbox.world.model import CashFlow
from sandbox.world.operations import Refused

API, TOKEN = "/gateway/api", "/gateway/oauth/token"
STYLES = ((API, TOKEN), ("/api", "/oauth/token"))
"""Where the API and its tokens are: behind one gateway, or at hosts of their own, which is one host here."""
_ENCODE = msgspec.json.Encoder(decimal_format="number")
_EXPIRED = {"error": "invalid_token", "error_description": "Invalid access token"}


def reply(body: Any, status: int = 200) -> Response:
    """A JSON answer; amounts are numbers written digit by digit."""
    return Response(_ENCODE.encode(body), status, media_type="application/json")


def failure(status: int, code: str, message: str, target: str = "") -> Response:
    """An API error."""
    problem: dict[str, Any] = {"code": code, "message": message, "target": target, "details": [], "innererror": None}
    return reply({"error": problem}, status)


def absent(what: str) -> Response:
    """404 for something that is not there."""
    return failure(404, "NotFound", f"no {what}")


@dataclass
class Kyriba:
    """Answers of the treasury tenant. A repeated login gives the same token with the time it has left."""

    host: Host
    client_id: str
    client_secret: str
    _token: str = ""
    _expires: float = field(default=0.0)

    def __post_init__(self) -> None:
        self._tasks = Tasks(self.host.dial)

    def target(self, request: Request) -> Target:
        """What the request is about, for the fault dial."""
        path = request.url.path
        token = any(path == each for _, each in STYLES)
        following = request.query_params.get("page.offset", "0") not in ("", "0")
        entity = None if token else (_below(path) or "").split("/")[0]
        return Target(entity, following, token, request.method in WRITES and entity == FLOWS.name)

    def void_tokens(self) -> Response:
        """Ends the session, as an expired one is answered."""
        self._token = ""
        return reply(_EXPIRED, 401)

    async def answer(self, request: Request) -> Response:
        """The answer to one request, faults aside."""
        body = await request.body()
        path = request.url.path
        if any(path == each for _, each in STYLES):
            return self._login(request, body)
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        if not self._token or given != self._token or time.monotonic() >= self._expires:
            return reply(_EXPIRED, 401)
        below = _below(path)
        if below is None:
            return absent(f"resource {path}")
        try:
            return self._route(request, below, body)
        except Refused as refused:
            return failure(400, refused.code, str(refused), refused.field or "")

    def _login(self, request: Request, body: bytes) -> Response:
        expected = base64.b64encode(f"{self.client_id}:{self.client_secret}".encode()).decode()
        if request.headers.get("authorization") != f"Basic {expected}":
            return reply({"error": "invalid_client", "error_description": "Bad client credentials"}, 401)
        if b"grant_type=client_credentials" not in body:
            return reply({"error": "unsupported_grant_type", "error_description": "client_credentials expected"}, 400)
        if not self._token or time.monotonic() >= self._expires:
            self._token, self._expires = str(uuid.UUID(bytes=secrets.token_bytes(16))), time.monotonic() + 3600
        left = int(self._expires - time.monotonic())
        return reply({"access_token": self._token, "token_type": "bearer", "expires_in": left, "scope": "api",
                      "kapp_username": self.client_id})  # fmt: skip

    def _route(self, request: Request, path: str, body: bytes) -> Response:
        """To each resource its own answer; `path` begins below the version."""
        world, parts = self.host.catch_up(), path.split("/")
        if parts[0] == "accounts":
            return self._accounts(world, request, parts[1:], body)
        if parts[0] in ("cash-balances", "bank-balances") and parts[1:2] == ["accounts"] and parts[3:] == ["balances"]:
            return self._balances(world, request, parts[0], parts[2])
        if path == "payment/transfers/status" and request.method == "GET":
            return self._listing(world, request, TRANSFERS, lambda f: render_transfer(world, f), "valueDate")
        if parts[0] == "process-templates":
            return self._templates(world, request, parts[1:])
        if parts[0] == FLOWS.name:
            return self._cash_flows(world, request, parts[1:], body)
        return absent(f"resource {path}")

    def _accounts(self, world: World, request: Request, parts: list[str], body: bytes) -> Response:
        if request.method == "POST" and parts == ["details"]:
            found = [account_of(key) for key in references_of(body)]
            return reply({"results": [render_details(account) for account in found if account is not None]})
        if request.method == "GET" and not parts:
            return self._listing(world, request, ACCOUNTS, render_account, "code")
        if request.method == "GET" and len(parts) == 1:
            account = account_of(parts[0].removeprefix("code=").removeprefix("uuid="))
            return reply(render_details(account)) if account else absent(f"account {parts[0]}")
        return absent(f"resource accounts/{'/'.join(parts)}")

    def _balances(self, world: World, request: Request, kind: str, key: str) -> Response:
        account = account_of(key)
        if account is None:
            return absent(f"account {key}")
        if kind == "cash-balances":
            return reply(cash_balances(world, account, request.query_params))
        told = bank_balance(world, account, request.query_params)
        return reply(told) if told else absent(f"balance of {account.code} on that day")

    def _templates(self, world: World, request: Request, parts: list[str]) -> Response:
        if request.method == "POST" and parts[1:] == ["run"]:
            task = self._tasks.run(world, parts[0])
            return reply([{"taskId": task}]) if task else absent(f"process template {parts[0]}")
        if request.method == "GET" and parts[1:] == ["files"]:
            made = self._tasks.made(parts[0], request.query_params.get("taskId", ""))
            if made is None:
                return absent("files of this task")
            name, kind, content = made
            return Response(content, media_type=kind, headers={"Content-Disposition": f'attachment; filename="{name}"'} if name else None)
        known = {"status": self._tasks.status, "details": self._tasks.details}
        told = known[parts[1]](parts[0]) if request.method == "GET" and len(parts) == 2 and parts[1] in known else None
        return reply(told) if told else absent(f"task {parts[0]}")

    def _cash_flows(self, world: World, request: Request, parts: list[str], body: bytes) -> Response:
        if not parts and request.method == "GET":
            return self._listing(world, request, FLOWS, lambda f: as_served(world, f), "updateDateTime")
        if not parts and request.method == "POST":
            made = self.host.run("create_flow", flow=flow_of(body), request_id=request.headers.get("x-request-id", ""))
            return reply(made, 201)
        flow = world.flows.get(parts[0]) if parts else None
        if flow is None or flow.deleted or parts[1:] not in ([], ["detail"]):
            return absent(f"cash flow {'/'.join(parts)}")
        return self._one_flow(request, flow, body)

    def _one_flow(self, request: Request, flow: CashFlow, body: bytes) -> Response:
        request_id = request.headers.get("x-request-id", "")
        if request.method == "GET":
            return reply(as_served(self.host.world, flow))
        if request.method == "PUT":
            return reply(self.host.run("replace_flow", uuid=flow.uuid, flow=flow_of(body), request_id=request_id))
        if request.method == "DELETE":
            self.host.run("delete_flow", uuid=flow.uuid, request_id=request_id)
            return Response(status_code=204)
        return failure(405, "MethodNotAllowed", f"{request.method} is not allowed")

    def _listing(self, world: World, request: Request, entity: Entity, render: Callable[[Any], dict[str, Any]], order: str) -> Response:
        """A page of an entity's records that the filter leaves, sorted as asked, with the faults of pages."""
        rows = list(entity.rows(world)) if entity is ACCOUNTS else visible(world, self.host.dial, SYSTEM, entity)
        if text := request.query_params.get("filter"):
            keep = parse(text, entity)
            rows = [row for row in rows if keep(world, row)]
        sort = request.query_params.get("sort", order)
        key = entity.fields.get(sort.lstrip("-+"))
        if key is None:
            raise Refused("InvalidSort", f"can't sort by {sort}", "sort")
        rows.sort(key=lambda row: (key.get(world, row), entity.key(row)), reverse=sort.startswith("-"))
        return self._paged(request, entity, rows, render)

    def _paged(self, request: Request, entity: Entity, rows: list[Any], render: Callable[[Any], dict[str, Any]]) -> Response:
        try:
            limit = int(request.query_params.get("page.limit", "100"))
            offset = int(request.query_params.get("page.offset", "0"))
        except ValueError:
            raise Refused("InvalidPage", "page.limit and page.offset are numbers", "page") from None
        if fault := self.host.dial.peek(SYSTEM, "page_size", entity.name):
            limit = min(limit, int(fault.options.get("size", 50)))
        if not 1 <= limit <= 1000 or offset < 0:
            raise Refused("InvalidPage", "page.limit is 1 to 1000, page.offset 0 or more", "page")
        page = rows[offset : offset + limit]
        shown = disturb(self.host.dial, SYSTEM, entity, [render(row) for row in page], BROKEN["unknown_customer"])
        following = offset + limit if offset + limit < len(rows) else None
        if page and self.host.dial.take(SYSTEM, "repeated_page", entity.name):
            following = offset
        links: dict[str, str] = {}
        if following is not None:
            links["next"] = str(request.url.include_query_params(**{"page.limit": limit, "page.offset": following}))
        data = {"numberOfTotalResults": len(rows), "pageLimit": limit, "pageOffset": offset, "pageResults": len(shown),
                "links": links}  # fmt: skip
        return reply({"metadata": data, "results": shown})


def _below(path: str) -> str | None:
    """The resource that a path names, below the API's root and version in either style; None for another path."""
    for root, _ in STYLES:
        if path.startswith(f"{root}/v1/"):
            return path.removeprefix(f"{root}/v1/").strip("/")
    return None
