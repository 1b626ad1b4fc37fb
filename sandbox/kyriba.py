"""The treasury system over HTTP: token, accounts, cash balances in windows of 31 days, cash flows read and written."""

from __future__ import annotations

import base64
import json
import re
import secrets
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from sandbox.gate import WRITES, Target
from sandbox.host import Host
from sandbox.records import Entity, Field, disturb, fields, visible
from sandbox.world.engine import World
from sandbox.world.model import ZERO, CashFlow
from sandbox.world.operations import Refused
from sandbox.world.reference import BANK_ACCOUNTS, BankAccount

SYSTEM = "kyriba"
API, TOKEN = "/gateway/api/v1/", "/gateway/oauth/token"
_ENCODE = msgspec.json.Encoder(decimal_format="number")
STATUSES = ("ESTIMATED", "CONFIRMED", "ACTUAL")


def account_uuid(code: str) -> str:
    """The UUID of an account."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"kyriba-account:{code}"))


def moment(value: datetime) -> str:
    """A stamp as the API writes it: seconds, Z."""
    return f"{value:%Y-%m-%dT%H:%M:%SZ}"


def reference(code: str, kind: str) -> dict[str, str]:
    """A reference to another object, by code and UUID."""
    return {"code": code, "uuid": str(uuid.uuid5(uuid.NAMESPACE_OID, f"kyriba-{kind}:{code}"))}


def render_account(account: BankAccount) -> dict[str, Any]:
    """A bank account as the API shows it."""
    return {
        "uuid": account_uuid(account.code), "code": account.code, "description": f"{account.bank} {account.currency}",
        "accountType": "BANK", "activeStatus": "OPEN", "status": "COMPLETED", "closedAccount": False,
        "bank": reference(account.bank, "bank"), "company": reference(account.entity, "company"),
        "currency": reference(account.currency, "currency"), "countryCode": account.country, "ibanCode": account.iban,
        "banCode": account.number, "statementIdentifier": account.iban or account.number,
        "creationDate": "2020-01-02", "updateDate": "2024-01-02T08:00:00Z",
    }  # fmt: skip


def render_flow(flow: CashFlow) -> dict[str, Any]:
    """A cash flow as the API shows it; the stamp and the dates are nested under `date`."""
    amount = {"value": flow.amount, "currency": reference(flow.currency, "currency")}
    return {
        "uuid": flow.uuid, "reference": flow.reference, "status": flow.status,
        "account": {"code": flow.account, "uuid": account_uuid(flow.account)}, "flowCode": reference(flow.code, "code"),
        "flowAmount": amount, "accountAmount": amount, "description": flow.description, "origin": flow.origin,
        "date": {
            "transactionDate": str(flow.transaction_date), "valueDate": str(flow.value_date),
            "accountingDate": str(flow.value_date), "creationDateTime": moment(flow.created_at),
            "updateDateTime": moment(flow.changed_at),
        },
    }  # fmt: skip


def _touch(flow: CashFlow, now: datetime) -> None:
    flow.changed_at = now


FLOWS = Entity(
    "cash-flows", lambda w: (f for f in w.flows.values() if not f.deleted), lambda f: str(f.uuid),
    lambda f: f.changed_at.replace(microsecond=0),
    fields(
        Field("uuid", "string", lambda w, f: f.uuid), Field("reference", "string", lambda w, f: f.reference),
        Field("status", "string", lambda w, f: f.status), Field("account.code", "string", lambda w, f: f.account),
        Field("origin", "string", lambda w, f: f.origin), Field("flowCode.code", "string", lambda w, f: f.code),
        Field("updateDateTime", "moment", lambda w, f: f.changed_at.replace(microsecond=0)),
        Field("creationDateTime", "moment", lambda w, f: f.created_at.replace(microsecond=0)),
        Field("transactionDate", "date", lambda w, f: f.transaction_date),
        Field("valueDate", "date", lambda w, f: f.value_date),
    ),
    breakable={"missing_key": "uuid", "bad_amount": "flowAmount", "bad_currency": "flowAmount", "bad_date": "date",
               "unknown_customer": "account"},
    customer="account", drift="status", restamp=_touch,
)  # fmt: skip
BROKEN: dict[str, Any] = {
    "missing_key": None, "bad_amount": {"value": "n/a", "currency": {"code": "EUR"}},
    "bad_currency": {"value": 1.0, "currency": {"code": "XXQ"}},
    "bad_date": {"transactionDate": "2026-02-31", "valueDate": "2026-02-31", "updateDateTime": "yesterday"},
    "unknown_customer": {"code": "NOWHERE"},
}  # fmt: skip


def reply(body: Any, status: int = 200) -> Response:
    """A JSON answer; amounts are numbers written digit by digit."""
    return Response(_ENCODE.encode(body), status, media_type="application/json")


def failure(status: int, code: str, message: str, target: str = "") -> Response:
    """An API error."""
    problem: dict[str, Any] = {"code": code, "message": message, "target": target, "details": [], "innererror": None}
    return reply({"error": problem}, status)


@dataclass
class Kyriba:
    """Answers of the treasury tenant. A repeated login gives the same token with the time it has left."""

    host: Host
    client_id: str
    client_secret: str
    _token: str = ""
    _expires: float = field(default=0.0)

    def target(self, request: Request) -> Target:
        """What the request is about, for the fault dial."""
        path = request.url.path
        token = path == TOKEN
        following = request.query_params.get("page.offset", "0") not in ("", "0")
        entity = None if token else path.removeprefix(API).split("/")[0]
        return Target(entity, following, token, request.method in WRITES and not token)

    def void_tokens(self) -> Response:
        """Ends the session, as an expired one is answered."""
        self._token = ""
        return reply({"error": "invalid_token", "error_description": "Invalid access token"}, 401)

    async def answer(self, request: Request) -> Response:
        """The answer to one request, faults aside."""
        body = await request.body()
        path = request.url.path
        if path == TOKEN:
            return self._login(request, body)
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        if not self._token or given != self._token or time.monotonic() >= self._expires:
            return reply({"error": "invalid_token", "error_description": "Invalid access token"}, 401)
        if not path.startswith(API):
            return failure(404, "NotFound", f"no resource {path}")
        try:
            return self._route(request, path.removeprefix(API).strip("/"), body)
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
        world = self.host.catch_up()
        parts = path.split("/")
        if request.method == "GET" and path == "accounts":
            return self._paged(request, [render_account(a) for a in BANK_ACCOUNTS.values()])
        if request.method == "GET" and parts[0] == "accounts" and len(parts) == 2:
            account = _account(parts[1].removeprefix("code=").removeprefix("uuid="))
            return reply(render_account(account)) if account else failure(404, "NotFound", f"no account {parts[1]}")
        if request.method == "GET" and parts[:2] == ["cash-balances", "accounts"] and parts[3:] == ["balances"]:
            return self._balances(world, request, parts[2])
        if parts[0] != "cash-flows":
            return failure(404, "NotFound", f"no resource {path}")
        if request.method == "GET" and len(parts) == 1:
            return self._flows(world, request)
        if request.method == "POST" and len(parts) == 1:
            made = self.host.run("create_flow", flow=flow_of(body), request_id=request.headers.get("x-request-id", ""))
            return reply(made, 201)
        flow = world.flows.get(parts[1]) if len(parts) > 1 else None
        if flow is None or flow.deleted:
            return failure(404, "NotFound", f"no cash flow {path.partition('/')[2]}")
        return self._one_flow(request, flow, body)

    def _one_flow(self, request: Request, flow: CashFlow, body: bytes) -> Response:
        request_id = request.headers.get("x-request-id", "")
        if request.method == "GET":
            return reply(_as_served(self.host.world, flow))
        if request.method == "PUT":
            return reply(self.host.run("replace_flow", uuid=flow.uuid, flow=flow_of(body), request_id=request_id))
        if request.method == "DELETE":
            self.host.run("delete_flow", uuid=flow.uuid, request_id=request_id)
            return Response(status_code=204)
        return failure(405, "MethodNotAllowed", f"{request.method} is not allowed")

    def _flows(self, world: World, request: Request) -> Response:
        rows = visible(world, self.host.dial, SYSTEM, FLOWS)
        if text := request.query_params.get("filter"):
            keep = parse_rsql(text)
            rows = [row for row in rows if keep(world, row)]
        sort = request.query_params.get("sort", "updateDateTime")
        key = FLOWS.fields.get(sort.lstrip("-+"))
        if key is None:
            raise Refused("InvalidSort", f"can't sort by {sort}", "sort")
        rows.sort(key=lambda f: (key.get(world, f), f.uuid), reverse=sort.startswith("-"))
        return self._paged(request, rows, lambda f: _as_served(world, f))

    def _paged(self, request: Request, rows: list[Any], render: Callable[[Any], dict[str, Any]] | None = None) -> Response:
        try:
            limit = int(request.query_params.get("page.limit", "100"))
            offset = int(request.query_params.get("page.offset", "0"))
        except ValueError:
            raise Refused("InvalidPage", "page.limit and page.offset are numbers", "page") from None
        if fault := self.host.dial.peek(SYSTEM, "page_size", FLOWS.name):
            limit = min(limit, int(fault.options.get("size", 50)))
        if not 1 <= limit <= 1000 or offset < 0:
            raise Refused("InvalidPage", "page.limit is 1 to 1000, page.offset 0 or more", "page")
        page = rows[offset : offset + limit]
        shown = [render(row) for row in page] if render else page
        if render:
            shown = disturb(self.host.dial, SYSTEM, FLOWS, shown, BROKEN["unknown_customer"])
        following = offset + limit if offset + limit < len(rows) else None
        if page and self.host.dial.take(SYSTEM, "repeated_page", FLOWS.name):
            following = offset
        links: dict[str, str] = {}
        if following is not None:
            links["next"] = str(request.url.include_query_params(**{"page.limit": limit, "page.offset": following}))
        data = {"numberOfTotalResults": len(rows), "pageLimit": limit, "pageOffset": offset, "pageResults": len(shown),
                "links": links}  # fmt: skip
        return reply({"metadata": data, "results": shown})

    def _balances(self, world: World, request: Request, key: str) -> Response:
        account = _account(key)
        if account is None:
            return failure(404, "NotFound", f"no account {key}")
        asked = request.query_params
        try:
            start, end = date.fromisoformat(asked["startDate"]), date.fromisoformat(asked["endDate"])
        except (KeyError, ValueError):
            raise Refused("InvalidDate", "startDate and endDate are required, YYYY-MM-DD", "startDate") from None
        if end < start or (end - start).days > 31:
            raise Refused("InvalidPeriod", "the period between startDate and endDate is 31 days at most", "endDate")
        kind = asked.get("dateType", "VALUE")
        if kind not in ("VALUE", "TRANSACTION"):
            raise Refused("InvalidDateType", "dateType is VALUE or TRANSACTION", "dateType")
        statuses = {n: asked.get(n, "true" if n == "actual" else "false").lower() == "true"
                    for n in ("actual", "intraday", "confirmedForecasts", "estimatedForecasts")}  # fmt: skip
        rows = balances(world, account, start, end, statuses)
        named = {"code": account.code, "uuid": account_uuid(account.code),
                 "statementIdentifier": account.iban or account.number}  # fmt: skip
        shown = [{"account": named, "amount": amount, "date": str(day), "dateType": kind, "currencyCode": account.currency,
                  "cashFlowStatus": statuses} for day, amount in rows]  # fmt: skip
        return reply({"account": named, "cashBalance": shown})


def balances(world: World, account: BankAccount, start: date, end: date, statuses: dict[str, bool]) -> list[tuple[date, Decimal]]:
    """End-of-day balances of some days: closed days as closed; today only intraday; later days only with forecasts."""
    closed, today = world.closings[account.code], world.now.date()
    rows: list[tuple[date, Decimal]] = []
    wanted = {s for s, n in (("CONFIRMED", "confirmedForecasts"), ("ESTIMATED", "estimatedForecasts")) if statuses[n]}
    planned: dict[date, Decimal] = {}
    for flow in world.flows.values() if wanted else ():
        if flow.account == account.code and flow.status in wanted and not flow.deleted:
            planned[flow.value_date] = planned.get(flow.value_date, ZERO) + flow.amount
    running = world.balance(account.code) + sum(v for d, v in planned.items() if today <= d < start)
    for offset in range((end - start).days + 1):
        day = start + timedelta(days=offset)
        if day in closed:
            rows.append((day, closed[day]))
        elif day >= today and (wanted or (statuses["intraday"] and day == today)):
            running += planned.get(day, ZERO)
            rows.append((day, running))
    return rows


def _account(key: str) -> BankAccount | None:
    return next((a for a in BANK_ACCOUNTS.values() if key in (a.code, account_uuid(a.code))), None)


def _as_served(world: World, flow: CashFlow) -> dict[str, Any]:
    shown = render_flow(flow)
    how = world.broken.get((SYSTEM, FLOWS.name, flow.uuid))
    if how is not None:
        shown[FLOWS.breakable[how]] = BROKEN[how]
    return shown


def flow_of(body: bytes) -> dict[str, Any]:
    """The cash flow in a request body. Refused names the field that is missing or wrong."""
    field_name = "body"
    try:
        sent = json.loads(body, parse_float=Decimal, parse_int=Decimal)
        field_name = "account"
        account = _account(str(sent["account"].get("code") or sent["account"].get("uuid")))
        if account is None:
            raise ValueError("unknown account")
        field_name = "flowAmount"
        amount = sent["flowAmount"].get("value", sent["flowAmount"].get("amount"))
        if not isinstance(amount, Decimal) or not amount.is_finite():
            raise ValueError("a number is required")
        currency = sent["flowAmount"].get("currency", {}).get("code", account.currency)
        if currency != account.currency:
            raise ValueError(f"account {account.code} is held in {account.currency}")
        field_name = "date"
        value_date = date.fromisoformat(sent["date"].get("valueDate") or sent["date"]["transactionDate"])
        transaction = date.fromisoformat(sent["date"].get("transactionDate") or str(value_date))
        field_name = "status"
        if sent.get("status", "ESTIMATED") not in STATUSES[:2]:
            raise ValueError("ESTIMATED or CONFIRMED expected")
        field_name = "flowCode"
        code = sent["flowCode"]["code"]
    except (ValueError, KeyError, TypeError, AttributeError, InvalidOperation) as wrong:
        raise Refused("InvalidValue", f"{field_name}: {wrong}", field_name) from wrong
    return {"account": account.code, "code": str(code), "amount": str(amount), "reference": str(sent.get("reference") or "")[:250],
            "status": sent.get("status", "ESTIMATED"), "description": str(sent.get("description") or ""),
            "valueDate": str(value_date), "transactionDate": str(transaction)}  # fmt: skip


_CLAUSE = re.compile(r"^(?P<name>[\w.]+)(?P<sign>==|!=|=in=|=out=|=[lg][te]=)(?P<value>.+)$")


def parse_rsql(text: str) -> Callable[[World, Any], bool]:
    """A filter over cash flows: `;` is and, `,` outside brackets is or. Refused says what is wrong."""
    either = [[_clause(c) for c in part.split(";")] for part in re.split(r",(?![^(]*\))", text)]
    return lambda w, r: any(all(clause(w, r) for clause in part) for part in either)


def _clause(text: str) -> Callable[[World, Any], bool]:
    match = _CLAUSE.match(text.strip())
    known = FLOWS.fields.get(match["name"]) if match else None
    if match is None or known is None:
        raise Refused("InvalidFilter", f"can't filter by {text!r}", "filter")
    values = [_literal(known, v) for v in match["value"].strip("()").split(",")]
    sign, get, one = match["sign"], known.get, values[0]
    tests: dict[str, Callable[[Any], bool]] = {
        "==": lambda v: bool(v == one), "!=": lambda v: bool(v != one), "=in=": lambda v: v in values,
        "=out=": lambda v: v not in values, "=lt=": lambda v: bool(v < one), "=le=": lambda v: bool(v <= one),
        "=gt=": lambda v: bool(v > one), "=ge=": lambda v: bool(v >= one),
    }  # fmt: skip
    return lambda w, r: tests[sign](get(w, r))


def _literal(known: Field, text: str) -> Any:
    text = text.strip().strip("'\"")
    try:
        if known.type == "moment":
            return datetime.fromisoformat(text.replace("Z", "+00:00").replace(" ", "+")).astimezone(UTC)
        return date.fromisoformat(text) if known.type == "date" else text
    except ValueError:
        raise Refused("InvalidFilter", f"{text!r} is no {known.type}", "filter") from None
