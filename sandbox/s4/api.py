"""One S/4HANA host over HTTP: OData V2 reads with server paging, $batch, guarded changes of sales orders; sales orders in V4 too."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlencode

from starlette.requests import Request
from starlette.responses import Response

from sandbox.gate import WRITES, Target
from sandbox.host import Host
from sandbox.records import disturb, visible
from sandbox.s4 import batch, v4
from sandbox.s4.access import TOKEN, Access
from sandbox.s4.query import BadQuery, ordered, parse_filter
from sandbox.s4.releases import of_release
from sandbox.s4.services import UNKNOWN_CUSTOMER, EntitySet, services
from sandbox.s4.sessions import Sessions
from sandbox.s4.wire import error, etag, json_response, metadata, render, same_etag
from sandbox.world.engine import World
from sandbox.world.operations import Refused

ROOT = "/sap/opu/odata/sap"
PAGE = 1000
_PATH = re.compile(r"^(?P<set>[A-Za-z_0-9]+)(?:\((?P<key>.*)\))?(?:/(?P<rest>[A-Za-z_$.0-9]+))?$")
_WRITABLE = frozenset({"DeliveryBlockReason", "HeaderBillingBlockReason"})


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request in parts. `v4` when that protocol is spoken; `path` is the service's, `base` the host's with its root."""

    request: Request
    sets: dict[str, EntitySet]
    entity_set: EntitySet
    options: dict[str, str]
    accept: str
    base: str
    key: str | None
    rest: str | None
    v4: bool = False


@dataclass(frozen=True, slots=True)
class _Page:
    """A page of a list: what it holds, how many there are in all, and where the next one begins, if there is one."""

    rows: list[Any]
    total: int
    following: int | None
    silent: bool


class S4Host:
    """Answers of one host. Sessions live in memory: a restart logs everybody out."""

    def __init__(self, system: str, host: Host, user: str, password: str) -> None:
        self.system, self._host = system, host
        self._access = Access(user, password)
        self._sessions = Sessions()

    def target(self, request: Request) -> Target:
        """What the request is about, for the fault dial."""
        path = request.url.path
        tail = path.removeprefix(v4.ROOT + "/") if path.startswith(v4.ROOT) else "/".join(path.removeprefix(ROOT + "/").split("/")[1:])
        match = _PATH.match(tail.split("/")[0]) if tail else None
        name = v4.SETS.get(match["set"], match["set"]) if match else None
        write = request.method in WRITES and not path.endswith("/$batch")
        return Target(name, "$skiptoken" in request.query_params, path == TOKEN, write)

    def void_tokens(self) -> Response:
        """Ends every session, as an expired one is answered."""
        self._sessions.clear()
        self._access.void()
        return self._unauthorized()

    def _unauthorized(self) -> Response:
        page = "<html><head><title>Logon failed</title></head><body>401 Unauthorized</body></html>"
        return Response(page, 401, {"WWW-Authenticate": 'Basic realm="SAP NetWeaver Application Server"'}, "text/html")

    async def answer(self, request: Request) -> Response:
        """The answer to one request, faults aside."""
        body = await request.body()
        if request.url.path == TOKEN:
            return self._access.login(request, body)
        if not self._access.admits(request):
            return self._unauthorized()
        return self._one(request, body)

    def _one(self, request: Request, body: bytes) -> Response:
        accept = request.query_params.get("$format") or request.headers.get("accept", "")
        is_v4 = request.url.path.startswith(v4.ROOT)
        try:
            return self._route(request, accept, body)
        except BadQuery as wrong:
            code = "005056A509B11EE1B9A8FEC11C21D78E"
            return v4.error(400, code, str(wrong)) if is_v4 else error(400, code, str(wrong), accept)
        except Refused as refused:
            return v4.error(404, refused.code, str(refused)) if is_v4 else error(404, refused.code, str(refused), accept)

    def _route(self, request: Request, accept: str, body: bytes) -> Response:
        path = request.url.path.rstrip("/")
        is_v4 = path.startswith(v4.ROOT)
        name, _, rest = (
            ("API_SALES_ORDER_SRV", "", path.removeprefix(v4.ROOT).lstrip("/")) if is_v4 else path.removeprefix(ROOT + "/").partition("/")
        )
        sets = services(self.system).get(name.split(";")[0])
        if sets is None or not (is_v4 or path.startswith(ROOT)):
            return error(403, "/IWFND/MED/170", f"No service found for namespace , name {name}, version 0001", accept)
        sets = of_release(sets, self._host.dial.peek(self.system, "release_2021"))
        headers = self._sessions.fetched(request)
        if rest == "$batch" and request.method == "POST":
            response = self._batch(request, body, path.removesuffix("/$batch"))
        elif rest == "$metadata":
            response = self._metadata(name.split(";")[0], sets, accept, is_v4=is_v4)
        elif rest == "":
            response = (
                v4.json_response({"value": [{"name": n} for n in v4.SETS]}) if is_v4 else json_response({"d": {"EntitySets": list(sets)}})
            )
        else:
            response = self._about(request, sets, rest, accept, body, is_v4=is_v4)
        for key, value in headers:
            response.headers.append(key, value)
        return response

    def _about(self, request: Request, sets: dict[str, EntitySet], rest: str, accept: str, body: bytes, *, is_v4: bool) -> Response:
        if request.method in WRITES and not self._sessions.accepts(
            request, expired=self._host.dial.take(self.system, "csrf_expired") is not None
        ):
            return Response("CSRF token validation failed", 403, {"x-csrf-token": "Required"}, "text/plain")
        if request.method == "POST" and not is_v4 and rest in v4.ACTIONS and "A_SalesOrder" in sets:
            return self._approve(request, sets, rest, request.query_params.get("SalesOrder", "").strip("'"), accept, is_v4=False)
        match = _PATH.match(rest)
        name = None if match is None else v4.SETS.get(match["set"]) if is_v4 else match["set"]
        if match is None or name not in sets:
            raise Refused("/IWBEP/CM_MGW_RT/020", f"Resource not found for segment '{rest}'")
        base = f"{request.url.scheme}://{request.url.netloc}{ROOT}"
        asked = _Asked(request, sets, sets[name], dict(request.query_params), accept, base, match["key"], match["rest"], is_v4)
        if request.method in WRITES:
            return self._write(asked, body)
        world = self._host.catch_up()
        if asked.key is not None:
            return self._single(world, asked)
        return self._list(world, asked)

    def _metadata(self, name: str, sets: dict[str, EntitySet], accept: str, *, is_v4: bool) -> Response:
        if self._host.dial.take(self.system, "no_metadata"):
            return error(403, "/IWFND/CM_BEC/026", "RFC Error: no authorization", accept)
        return v4.metadata(sets) if is_v4 else metadata(name, sets)

    def _batch(self, request: Request, body: bytes, root: str) -> Response:
        if self._host.dial.take(self.system, "no_batch"):
            return error(501, "/IWFND/CM_MGW/501", "Batch requests are not supported", "application/json")
        if not self._sessions.accepts(request, expired=False):
            return Response("CSRF token validation failed", 403, {"x-csrf-token": "Required"}, "text/plain")
        return batch.answer(request, body, root, lambda one: self._one(one, b""))

    def _find(self, world: World, entity_set: EntitySet, key: str) -> Any:
        given = dict(re.findall(r"(\w+)='((?:[^']|'')*)'", key)) or {entity_set.keys[0]: key.strip("'")}
        if set(given) != set(entity_set.keys):
            raise BadQuery(f"Invalid key predicate for {entity_set.entity.name}")
        fields = entity_set.entity.fields
        for row in visible(world, self._host.dial, self.system, entity_set.entity):
            if all(str(fields[k].get(world, row)) == v.replace("''", "'") for k, v in given.items()):
                return row
        raise Refused("/IWBEP/CM_MGW_RT/020", f"Resource not found for the key {key}")

    def _single(self, world: World, asked: _Asked) -> Response:
        entity_set = asked.entity_set
        row = self._find(world, entity_set, unquote(asked.key or ""))
        rest = v4.NAVIGATION.get(asked.rest or "", asked.rest) if asked.v4 else asked.rest
        if rest is not None:
            items = entity_set.items.get(rest)
            if items is None or entity_set.children is None:
                raise Refused("/IWBEP/CM_MGW_RT/020", f"Resource not found for segment '{rest}'")
            return self._listed(asked, [self._rendered(world, asked, items, c, {}) for c in entity_set.children(world, row)], None, None)
        record = self._rendered(world, asked, entity_set, row, _projection(asked))
        tag = {"etag": etag(entity_set.entity.stamp(row))} if entity_set.etag else {}
        return v4.json_response(record, headers=tag) if asked.v4 else json_response({"d": record}, headers=tag)

    def _rendered(self, world: World, asked: _Asked, entity_set: EntitySet, row: Any, projection: dict[str, Any]) -> dict[str, Any]:
        if asked.v4:
            wanted = {"select": None, "expand": frozenset(), **projection}
            return v4.render(entity_set, world, row, self.system, accept=asked.accept, **wanted)
        return render(entity_set, world, row, asked.base, self.system, **projection)

    def _list(self, world: World, asked: _Asked) -> Response:
        page = self._page(world, asked)
        if isinstance(page, Response):
            return page
        projection = _projection(asked)
        rows = [self._rendered(world, asked, asked.entity_set, row, projection) for row in page.rows]
        rows = disturb(self._host.dial, self.system, asked.entity_set.entity, rows, UNKNOWN_CUSTOMER)
        counted = asked.options.get("$inlinecount") == "allpages" or asked.options.get("$count") == "true"
        return self._listed(asked, rows, page.total if counted and not page.silent else None, page.following)

    def _page(self, world: World, asked: _Asked) -> _Page | Response:
        options, entity, dial = asked.options, asked.entity_set.entity, self._host.dial
        rows = visible(world, dial, self.system, entity)
        if "$filter" in options:
            keep = parse_filter(options["$filter"], entity)
            rows = [row for row in rows if keep(world, row)]
        if asked.rest == "$count":
            return Response(str(len(rows)), media_type="text/plain")
        if "$orderby" in options:
            rows = ordered(world, rows, options["$orderby"], entity)
        total = len(rows)
        if dial.take(self.system, "no_paging", entity.name):
            return _Page(rows, total, None, silent=True)
        skip, at = _number(options, "$skip", 0), _number(options, "$skiptoken", 0)
        rows = rows[skip:]
        if "$top" in options:
            rows = rows[: _number(options, "$top", 0)]
        fault = dial.peek(self.system, "page_size", entity.name)
        size = int(fault.options.get("size", 50)) if fault else PAGE
        following = at + size
        if len(rows) > at and dial.take(self.system, "repeated_page", entity.name):
            following = at
        return _Page(rows[at : at + size], total, following if following < len(rows) else None, silent=False)

    def _listed(self, asked: _Asked, rows: list[dict[str, Any]], total: int | None, following: int | None) -> Response:
        if asked.v4:
            name = asked.request.url.path.removeprefix(v4.ROOT + "/")
            count = {} if total is None else {"@odata.count": total}
            link = {} if following is None else {"@odata.nextLink": v4.next_link(name, asked.options, following)}
            return v4.json_response({"@odata.context": f"$metadata#{name}", **count, "value": rows, **link})
        answer: dict[str, Any] = {"results": rows}
        if total is not None:
            answer["__count"] = str(total)
        if following is not None:
            url = f"{asked.request.url.scheme}://{asked.request.url.netloc}{asked.request.url.path}"
            answer["__next"] = f"{url}?{urlencode({**asked.options, '$skiptoken': f'{following:d}'})}"
        return json_response({"d": answer})

    def _write(self, asked: _Asked, body: bytes) -> Response:
        request, accept = asked.request, asked.accept
        method = request.headers.get("x-http-method", request.method).upper()
        action = (asked.rest or "").rpartition(".")[2]
        if asked.v4 and method == "POST" and action in v4.ACTIONS and asked.key is not None:
            return self._approve(request, asked.sets, action, unquote(asked.key).strip("'"), accept, is_v4=True)
        if asked.entity_set.entity.name != "A_SalesOrder" or asked.key is None or method not in ("PATCH", "MERGE"):
            return _error(asked, 405, "/IWFND/CM_MGW/096", f"Method {method} not allowed for {asked.entity_set.entity.name}")
        order = self._find(self._host.catch_up(), asked.entity_set, unquote(asked.key))
        refused = self._precondition(request, order, asked)
        if refused is not None:
            return refused
        try:
            changes = json.loads(body)
            changes = changes if asked.v4 else changes.get("d", changes)
            unknown = sorted(set(changes) - _WRITABLE)
        except (ValueError, AttributeError):
            return _error(asked, 400, "/IWCOR/CX_OD_BAD_REQUEST", "Malformed payload")
        if unknown:
            return _error(asked, 400, "/IWBEP/CM_MGW_RT/022", f"Property {unknown[0]} can't be changed")
        self._host.run("update_order", host=self.system, number=order.number, changes=changes, request_id=_request_id(request))
        return Response(status_code=204, headers={"dataserviceversion": "2.0", "etag": etag(order.changed_at)})

    def _precondition(self, request: Request, order: Any, asked: _Asked) -> Response | None:
        given = request.headers.get("if-match")
        if given is None:
            return _error(asked, 428, "/IWFND/CM_MGW/095", "Precondition required: If-Match is missing")
        if not same_etag(given, order.changed_at):
            return _error(asked, 412, "/IWBEP/CM_MGW_RT/021", "Precondition failed: the ETag does not match")
        return None

    def _approve(self, request: Request, sets: dict[str, EntitySet], name: str, number: str, accept: str, *, is_v4: bool) -> Response:
        order = self._find(self._host.catch_up(), sets["A_SalesOrder"], number)
        try:
            self._host.run(
                "answer_approval", host=self.system, number=order.number, approved=v4.ACTIONS[name], request_id=_request_id(request)
            )
        except Refused as refused:
            return v4.error(400, refused.code, str(refused)) if is_v4 else error(400, refused.code, str(refused), accept)
        if is_v4:
            return Response(status_code=204, headers={"odata-version": "4.0", "etag": etag(order.changed_at)})
        return json_response({"d": {name: {"Success": True}}}, headers={"etag": etag(order.changed_at)})


def _error(asked: _Asked, status: int, code: str, message: str) -> Response:
    return v4.error(status, code, message) if asked.v4 else error(status, code, message, asked.accept)


def _request_id(request: Request) -> str:
    return str(request.headers.get("x-request-id") or request.headers.get("requestid", ""))


def _projection(asked: _Asked) -> dict[str, Any]:
    chosen = [p.strip() for p in asked.options.get("$select", "").split(",") if p.strip()]
    wanted = [p.partition("(")[0].strip() for p in re.split(r",(?![^(]*\))", asked.options.get("$expand", "")) if p.strip()]
    known, leads = asked.entity_set.entity.fields, asked.entity_set.items
    for name in chosen:
        if name != "*" and name.split("/")[0] not in known and name.split("/")[0] not in leads:
            raise BadQuery(f"Property {name} not found in type '{asked.entity_set.type}'")
    for name in wanted:
        if (v4.NAVIGATION.get(name, name) if asked.v4 else name) not in leads:
            raise BadQuery(f"Navigation property {name} not found in type '{asked.entity_set.type}'")
    select = None if not chosen or "*" in chosen else frozenset(name.split("/")[0] for name in chosen)
    return {"select": select, "expand": frozenset(wanted)}


def _number(options: dict[str, str], name: str, default: int) -> int:
    text = options.get(name, str(default))
    if not text.isdigit():
        raise BadQuery(f"Invalid value '{text}' for {name}")
    return int(text)
