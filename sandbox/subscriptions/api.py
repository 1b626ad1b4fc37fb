"""The billing tool over HTTP: a key, two lists with a cursor made of the last record's id, what changed by `updated[gte]`. Read only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from sandbox.gate import WRITES, Target
from sandbox.host import Host
from sandbox.records import Entity, disturb, visible
from sandbox.subscriptions import objects
from sandbox.subscriptions.objects import Object
from sandbox.subscriptions.spec import query_parameters
from sandbox.world.engine import World
from sandbox.world.operations import Refused
from sandbox.world.subscriptions import SYSTEM

API = "/v1/"
LIMIT, LIMIT_MAX = 10, 100
NOBODY = "cus_000000000000"


def _entity(name: str, rows: Callable[[World], list[Object]], drift: str, customer: str | None) -> Entity:
    def stamp(one: Object) -> datetime:
        return datetime.fromtimestamp(one["updated"], UTC)

    return Entity(name, rows, lambda one: str(one["id"]), stamp, {}, customer=customer, drift=drift)


LISTS: dict[str, Entity] = {
    "customers": _entity("customers", objects.customers, "name", None),
    "invoices": _entity("invoices", objects.invoices, "status", "customer"),
}


def failure(status: int, code: str, message: str, param: str | None = None) -> Response:
    """An error in the API's own words."""
    return JSONResponse({"error": {"code": code, "message": message, "param": param}}, status)


@dataclass
class Subscriptions:
    """Answers of the billing tool."""

    host: Host
    api_key: str

    def target(self, request: Request) -> Target:
        """What the request is about, for the fault dial."""
        entity = request.url.path.removeprefix(API).partition("/")[0]
        return Target(entity, bool(request.query_params.get("starting_after")), write=request.method in WRITES)

    def void_tokens(self) -> Response:
        """The key is refused: there is no token that could be renewed."""
        return failure(401, "key_expired", "This API key has expired.")

    async def answer(self, request: Request) -> Response:
        """The answer to one request, faults aside."""
        if request.headers.get("authorization") != f"Bearer {self.api_key}":
            return failure(401, "key_invalid", "No such API key.")
        kind, _, key = request.url.path.removeprefix(API).partition("/")
        if request.method != "GET" or not request.url.path.startswith(API) or kind not in LISTS:
            return failure(404, "not_found", f"Unrecognized request: {request.method} {request.url.path}")
        world = self.host.catch_up()
        try:
            return self._one(world, LISTS[kind], key) if key else self._list(world, LISTS[kind], dict(request.query_params))
        except Refused as refused:
            return failure(404 if refused.code == "not_found" else 400, refused.code, str(refused), refused.field)

    def _one(self, world: World, kind: Entity, key: str) -> Response:
        found = next((row for row in visible(world, self.host.dial, SYSTEM, kind) if row["id"] == key), None)
        if found is None:
            raise Refused("not_found", f"No such {kind.name[:-1]}: {key}", "id")
        return JSONResponse(found)

    def _list(self, world: World, kind: Entity, asked: dict[str, str]) -> Response:
        for name in asked:
            if name not in query_parameters(f"{API}{kind.name}"):
                raise Refused("parameter_unknown", f"Received unknown parameter: {name}", name)
        rows = sorted(visible(world, self.host.dial, SYSTEM, kind), key=lambda row: (row["created"], row["id"]), reverse=True)
        asked_after: Object | None = None
        if "starting_after" in asked:
            place = next((place for place, row in enumerate(rows) if row["id"] == asked["starting_after"]), None)
            if place is None:
                raise Refused("not_found", f"No such {kind.name[:-1]}: {asked['starting_after']}", "starting_after")
            asked_after, rows = rows[place], rows[place + 1 :]
        rows = [row for row in rows if _passes(row, asked)]
        size = self._size(asked, kind)
        page, more = rows[:size], len(rows) > size
        if asked_after and page and self.host.dial.take(SYSTEM, "repeated_page", kind.name):
            page, more = [*page, asked_after], True  # what is asked for next is this page again
        data = disturb(self.host.dial, SYSTEM, kind, page, NOBODY)
        return JSONResponse({"object": "list", "data": data, "has_more": more})

    def _size(self, asked: dict[str, str], kind: Entity) -> int:
        said = _number(asked.get("limit", str(LIMIT)), "limit")
        if not 1 <= said <= LIMIT_MAX:
            raise Refused("parameter_invalid", f"limit is 1 to {LIMIT_MAX}", "limit")
        fault = self.host.dial.peek(SYSTEM, "page_size", kind.name)
        return min(said, int(fault.options.get("size", 5))) if fault else said


def _passes(row: Object, asked: dict[str, str]) -> bool:
    if "updated[gte]" in asked and row["updated"] < _number(asked["updated[gte]"], "updated[gte]"):
        return False
    return all(asked[name] == row[name] for name in ("customer", "status") if name in asked)


def _number(text: str, name: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise Refused("parameter_invalid", f"Invalid integer: {text}", name)
    return int(text)
