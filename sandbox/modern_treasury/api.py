"""The platform over HTTP: lists with a cursor in a header, single objects, expected payments created once per idempotency key."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from sandbox.gate import WRITES, Target
from sandbox.host import Host
from sandbox.modern_treasury import objects
from sandbox.modern_treasury.expected import fields_of
from sandbox.modern_treasury.objects import ACCOUNT_ID, Object, moment
from sandbox.modern_treasury.spec import query_parameters
from sandbox.records import Entity, disturb, visible
from sandbox.world.engine import World
from sandbox.world.operations import Refused

SYSTEM = "modern-treasury"
API = "/api/"
PER_PAGE, PER_PAGE_MAX = 25, 100
NOBODY = "00000000-0000-0000-0000-000000000000"


BROKEN: dict[str, Any] = {"bad_amount": "12.345,67x", "bad_currency": "XXQ", "bad_date": "2026-02-31", "unknown_account": NOBODY}


def _entity(name: str, rows: Callable[[World], list[Object]], drift: str, account: str = "internal_account_id", **breakable: str) -> Entity:
    return Entity(
        name, lambda world: [_touched(world, one) for one in rows(world)], lambda one: str(one["id"]),
        lambda one: datetime.fromisoformat(one["updated_at"]), {}, breakable=breakable, customer=account, drift=drift,
    )  # fmt: skip


def _touched(world: World, one: Object) -> Object:
    """The object with the stamp of whoever changed it by hand since."""
    at = world.touched.get(str(one["id"]))
    return one if at is None else {**one, "updated_at": max(str(one["updated_at"]), moment(at))}


def shown(world: World, kind: Entity, one: Object) -> Object:
    """The object as it is served: broken, while it is."""
    how = world.broken.get((SYSTEM, kind.name, str(one["id"]))) if world.broken else None
    return one if how is None else {**one, kind.breakable[how]: BROKEN[how]}


LISTS: dict[str, Entity] = {
    one.name: one
    for one in (
        _entity("internal_accounts", lambda w: [objects.account(w)], "currency", "id", bad_currency="currency"),
        _entity("balance_reports", objects.reports, "as_of_date", bad_date="as_of_date"),
        _entity(
            "transactions",
            objects.transactions,
            "amount",
            bad_amount="amount",
            bad_currency="currency",
            bad_date="as_of_date",
            unknown_account="internal_account_id",
        ),
        _entity(
            "expected_payments",
            objects.expected_payments,
            "status",
            bad_amount="amount_upper_bound",
            bad_currency="currency",
            bad_date="date_upper_bound",
            unknown_account="internal_account_id",
        ),
        _entity(
            "payment_orders",
            objects.payment_orders,
            "status",
            "originating_account_id",
            bad_amount="amount",
            bad_currency="currency",
            bad_date="effective_date",
        ),
        _entity(
            "incoming_payment_details",
            objects.incoming_payment_details,
            "status",
            bad_amount="amount",
            bad_currency="currency",
            bad_date="as_of_date",
        ),
        _entity("events", lambda w: list(w.told), "resource"),
    )
}
# Filter -> the member it looks at and how; every other filter asks for equality with the member of its own name.
_BOUNDS: dict[str, tuple[str, bool]] = {
    "as_of_date_start": ("as_of_date", True), "as_of_date_end": ("as_of_date", False), "created_at_start": ("created_at", True),
    "created_at_end": ("created_at", False), "effective_date_start": ("effective_date", True), "effective_date_end": ("effective_date", False),
    "created_at_lower_bound": ("created_at", True), "created_at_upper_bound": ("created_at", False),
    "updated_at_lower_bound": ("updated_at", True), "updated_at_upper_bound": ("updated_at", False),
}  # fmt: skip
_OTHER_NAMES = {"payment_type": "type"}


def failure(status: int, code: str, message: str, parameter: str = "") -> Response:
    """An error in the API's own words."""
    return JSONResponse({"errors": {"code": code, "message": message, "parameter": parameter}}, status)


@dataclass
class ModernTreasury:
    """Answers of the organisation."""

    host: Host
    organization_id: str
    api_key: str

    def target(self, request: Request) -> Target:
        """What the request is about, for the fault dial."""
        parts = request.url.path.removeprefix(API).split("/")
        entity = parts[2] if len(parts) > 2 else parts[0]
        return Target(entity, bool(request.query_params.get("after_cursor")), token=False, write=request.method in WRITES)

    def void_tokens(self) -> Response:
        """The key is refused: there is no token that could be renewed."""
        return failure(401, "expired_key", "The API key has expired")

    async def answer(self, request: Request) -> Response:
        """The answer to one request, faults aside."""
        body = await request.body()
        expected = base64.b64encode(f"{self.organization_id}:{self.api_key}".encode()).decode()
        if request.headers.get("authorization") != f"Basic {expected}":
            return failure(401, "invalid_key", "The API key or the organization id is invalid")
        if not request.url.path.startswith(API):
            return failure(404, "not_found", f"no resource {request.url.path}")
        try:
            return self._route(request, request.url.path.removeprefix(API).strip("/").split("/"), body)
        except Refused as refused:
            status = {"conflict": 409, "resource_not_found": 404}.get(refused.code, 422)
            return failure(status, refused.code, str(refused), refused.field or "")

    def _route(self, request: Request, parts: list[str], body: bytes) -> Response:
        world = self.host.catch_up()
        if parts == ["ping"] and request.method == "GET":
            return JSONResponse({"ping": "pong"})
        if len(parts) == 3 and (parts[0], parts[2]) == ("internal_accounts", "balance_reports") and request.method == "GET":
            rows = LISTS["balance_reports"] if parts[1] == ACCOUNT_ID else None
            if rows is None:
                raise Refused("resource_not_found", "no such internal account")
            return self._list(world, request, rows, "/api/internal_accounts/{internal_account_id}/balance_reports")
        kind = LISTS.get(parts[0]) if parts[0] != "balance_reports" else None
        if kind is None or len(parts) > 2:
            raise Refused("resource_not_found", f"no resource {request.url.path}")
        if len(parts) == 2:
            return self._one(world, request, kind, parts[1], body)
        if request.method == "POST" and kind.name == "expected_payments":
            return self._create(request, body)
        if request.method != "GET":
            raise Refused("resource_not_found", f"{request.method} is not served here")
        return self._list(world, request, kind, f"/api/{kind.name}")

    def _one(self, world: World, request: Request, kind: Entity, key: str, body: bytes) -> Response:
        found = next((row for row in visible(world, self.host.dial, SYSTEM, kind) if row["id"] == key), None)
        if found is None:
            raise Refused("resource_not_found", f"no {kind.name} with id {key}", "id")
        if request.method != "GET":
            if kind.name != "expected_payments" or key not in world.expected or request.method not in ("PATCH", "DELETE"):
                raise Refused("parameter_invalid", "this object can't be changed here", "id")
            changes = {"status": "archived"} if request.method == "DELETE" else fields_of(body, created=False)
            self.host.run("change_expected", id=key, changes=changes, request_id=request.headers.get("x-request-id", ""))
            found = next(row for row in objects.expected_payments(self.host.world) if row["id"] == key)
        return JSONResponse(shown(world, kind, found))

    def _create(self, request: Request, body: bytes) -> Response:
        made = self.host.run(
            "expect_payment", payment=fields_of(body, created=True), idempotency_key=request.headers.get("idempotency-key", ""),
            request_id=request.headers.get("x-request-id", ""),
        )  # fmt: skip
        return JSONResponse(next(row for row in objects.expected_payments(self.host.world) if row["id"] == made["id"]), 201)

    def _list(self, world: World, request: Request, kind: Entity, path: str) -> Response:
        asked = dict(request.query_params)
        known = query_parameters(path)
        for name in asked:
            if name not in known and not (name.startswith("metadata[") and "metadata" in known):
                raise Refused("parameter_invalid", f"{name} is no parameter of this list", name)
        rows = [row for row in visible(world, self.host.dial, SYSTEM, kind) if all(_passes(row, n, v) for n, v in asked.items())]
        rows.sort(key=_place, reverse=True)
        size = self._size(asked, kind)
        if after := asked.get("after_cursor"):
            rows = [row for row in rows if _place(row) < _opened(after)]
        page, more = rows[:size], len(rows) > size
        headers = {"X-Per-Page": str(size), "X-After-Cursor": _cursor(page[-1]) if more else ""}
        if page and self.host.dial.take(SYSTEM, "repeated_page", kind.name):
            headers["X-After-Cursor"] = after or _cursor(page[-1])
        told = disturb(self.host.dial, SYSTEM, kind, [shown(world, kind, row) for row in page], NOBODY)
        return JSONResponse(told, headers=headers)

    def _size(self, asked: dict[str, str], kind: Entity) -> int:
        said = asked.get("per_page", str(PER_PAGE))
        if not said.isdigit() or not 1 <= int(said) <= PER_PAGE_MAX:
            raise Refused("parameter_invalid", f"per_page is 1 to {PER_PAGE_MAX}", "per_page")
        fault = self.host.dial.peek(SYSTEM, "page_size", kind.name)
        return min(int(said), int(fault.options.get("size", 5))) if fault else int(said)


def _passes(row: Object, name: str, value: str) -> bool:
    if name in ("after_cursor", "per_page"):
        return True
    if name.startswith("metadata["):
        return bool((row.get("metadata") or {}).get(name[9:-1]) == value)
    if name in _BOUNDS:
        member, lower = _BOUNDS[name]
        held, bound = _comparable(str(row[member]), value, name)
        return bool(held >= bound if lower else held <= bound)
    if name == "description":
        return value.lower() in str(row.get("vendor_description") or row.get("description") or "").lower()
    held = row.get(_OTHER_NAMES.get(name, name))
    return str(held).lower() == value.lower() if isinstance(held, bool) else str(held) == value


def _comparable(held: str, bound: str, name: str) -> tuple[Any, Any]:
    try:
        if name.endswith("_bound"):
            return datetime.fromisoformat(held), datetime.fromisoformat(bound.replace(" ", "+"))
        return date.fromisoformat(held[:10]), date.fromisoformat(bound)
    except ValueError:
        raise Refused("parameter_invalid", f"{bound!r} is no {'moment' if name.endswith('_bound') else 'date'}", name) from None


def _place(row: Object) -> tuple[str, str]:
    return str(row["created_at"]), str(row["id"])


def _cursor(row: Object) -> str:
    return base64.urlsafe_b64encode(json.dumps(_place(row)).encode()).decode()


def _opened(cursor: str) -> tuple[str, str]:
    try:
        created, key = json.loads(base64.urlsafe_b64decode(cursor))
    except (ValueError, TypeError):
        raise Refused("parameter_invalid", "after_cursor is invalid", "after_cursor") from None
    return str(created), str(key)
