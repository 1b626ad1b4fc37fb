"""One S/4HANA host over HTTP: basic authentication, OData V2 reads with server paging, guarded writes of sales orders."""

from __future__ import annotations

import base64
import json
import re
import secrets
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlencode

from starlette.requests import Request
from starlette.responses import Response

from sandbox.gate import WRITES, Target
from sandbox.host import Host
from sandbox.records import disturb, visible
from sandbox.s4.query import BadQuery, ordered, parse_filter
from sandbox.s4.services import UNKNOWN_CUSTOMER, EntitySet, services
from sandbox.s4.wire import error, etag, json_response, metadata, render, same_etag
from sandbox.world.engine import World
from sandbox.world.operations import Refused

ROOT = "/sap/opu/odata/sap"
PAGE = 1000
_PATH = re.compile(r"^(?P<set>[A-Za-z_0-9]+)(?:\((?P<key>.*)\))?(?:/(?P<rest>[A-Za-z_$]+))?$")
_WRITABLE = frozenset({"DeliveryBlockReason", "HeaderBillingBlockReason"})


@dataclass(frozen=True, slots=True)
class _Asked:
    """A read request in parts."""

    entity_set: EntitySet
    url: str
    options: dict[str, str]
    accept: str


class S4Host:
    """Answers of one host. Sessions live in memory: a restart logs everybody out."""

    def __init__(self, system: str, host: Host, user: str, password: str) -> None:
        self.system, self._host = system, host
        self._basic = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
        self._tokens: dict[str, str] = {}

    def target(self, request: Request) -> Target:
        """What the request is about, for the fault dial."""
        parts = request.url.path.removeprefix(ROOT + "/").split("/")
        match = _PATH.match(parts[1]) if len(parts) > 1 else None
        return Target(match["set"] if match else None, "$skiptoken" in request.query_params, False, request.method in WRITES)

    def void_tokens(self) -> Response:
        """Ends every session, as an expired one is answered."""
        self._tokens.clear()
        return self._unauthorized()

    def _unauthorized(self) -> Response:
        page = "<html><head><title>Logon failed</title></head><body>401 Unauthorized</body></html>"
        return Response(page, 401, {"WWW-Authenticate": 'Basic realm="SAP NetWeaver Application Server"'}, "text/html")

    async def answer(self, request: Request) -> Response:
        """The answer to one request, faults aside."""
        if request.headers.get("authorization") != self._basic:
            return self._unauthorized()
        accept = request.query_params.get("$format") or request.headers.get("accept", "")
        body = await request.body()
        try:
            return self._route(request, accept, body)
        except BadQuery as wrong:
            return error(400, "005056A509B11EE1B9A8FEC11C21D78E", str(wrong), accept)
        except Refused as refused:
            return error(404, refused.code, str(refused), accept)

    def _route(self, request: Request, accept: str, body: bytes) -> Response:
        path = request.url.path.removeprefix(ROOT + "/").rstrip("/")
        name, _, rest = path.partition("/")
        sets = services(self.system).get(name.split(";")[0])
        if sets is None or not request.url.path.startswith(ROOT):
            return error(403, "/IWFND/MED/170", f"No service found for namespace , name {name}, version 0001", accept)
        headers = self._csrf(request)
        if request.method in WRITES:
            response = self._write(request, sets, rest, accept, body)
        elif rest in ("", "$metadata"):
            listing = {"d": {"EntitySets": list(sets)}}
            response = metadata(name.split(";")[0], sets) if rest else json_response(listing)
        else:
            response = self._read(request, sets, rest, accept)
        for key, value in headers:
            response.headers.append(key, value)
        return response

    def _csrf(self, request: Request) -> list[tuple[str, str]]:
        if request.headers.get("x-csrf-token", "").lower() != "fetch":
            return []
        session = request.cookies.get("SAP_SESSIONID_S4H_100") or secrets.token_urlsafe(24)
        token = self._tokens.setdefault(session, secrets.token_urlsafe(16) + "==")
        return [
            ("x-csrf-token", token),
            ("set-cookie", f"SAP_SESSIONID_S4H_100={session}; path=/; HttpOnly"),
            ("set-cookie", "sap-usercontext=sap-client=100; path=/"),
        ]

    def _read(self, request: Request, sets: dict[str, EntitySet], rest: str, accept: str) -> Response:
        match = _PATH.match(rest)
        if match is None or match["set"] not in sets:
            return error(404, "/IWBEP/CM_MGW_RT/020", f"Resource not found for segment '{rest}'", accept)
        entity_set, options = sets[match["set"]], dict(request.query_params)
        base = f"{request.url.scheme}://{request.url.netloc}"
        asked = _Asked(entity_set, f"{base}{request.url.path}", options, accept)
        world = self._host.catch_up()
        if match["key"] is not None:
            return self._single(world, asked, unquote(match["key"]), match["rest"], base + ROOT)
        return self._list(world, asked, base + ROOT, count_only=match["rest"] == "$count")

    def _find(self, world: World, entity_set: EntitySet, key: str) -> Any:
        given = dict(re.findall(r"(\w+)='((?:[^']|'')*)'", key)) or {entity_set.keys[0]: key.strip("'")}
        if set(given) != set(entity_set.keys):
            raise BadQuery(f"Invalid key predicate for {entity_set.entity.name}")
        fields = entity_set.entity.fields
        for row in visible(world, self._host.dial, self.system, entity_set.entity):
            if all(str(fields[k].get(world, row)) == v.replace("''", "'") for k, v in given.items()):
                return row
        raise Refused("/IWBEP/CM_MGW_RT/020", f"Resource not found for the key {key}")

    def _single(self, world: World, asked: _Asked, key: str, rest: str | None, base: str) -> Response:
        entity_set = asked.entity_set
        row = self._find(world, entity_set, key)
        if rest is not None:
            items = entity_set.items.get(rest)
            if items is None or entity_set.children is None:
                raise Refused("/IWBEP/CM_MGW_RT/020", f"Resource not found for segment '{rest}'")
            children = [render(items, world, c, base, self.system) for c in entity_set.children(world, row)]
            return json_response({"d": {"results": children}})
        record = render(entity_set, world, row, base, self.system, **_projection(asked))
        tag = {"etag": etag(entity_set.entity.stamp(row))} if entity_set.etag else {}
        return json_response({"d": record}, headers=tag)

    def _list(self, world: World, asked: _Asked, base: str, *, count_only: bool) -> Response:
        options, entity = asked.options, asked.entity_set.entity
        dial = self._host.dial
        rows = visible(world, dial, self.system, entity)
        if "$filter" in options:
            keep = parse_filter(options["$filter"], entity)
            rows = [row for row in rows if keep(world, row)]
        if count_only:
            return Response(str(len(rows)), media_type="text/plain")
        if "$orderby" in options:
            rows = ordered(world, rows, options["$orderby"], entity)
        total = len(rows)
        skip, at = _number(options, "$skip", 0), _token(options)
        rows = rows[skip:]
        if "$top" in options:
            rows = rows[: _number(options, "$top", 0)]
        fault = dial.peek(self.system, "page_size", entity.name)
        size = int(fault.options.get("size", 50)) if fault else PAGE
        projection = _projection(asked)
        page = [render(asked.entity_set, world, r, base, self.system, **projection) for r in rows[at : at + size]]
        page = disturb(dial, self.system, entity, page, UNKNOWN_CUSTOMER)
        answer: dict[str, Any] = {"results": page}
        if options.get("$inlinecount") == "allpages":
            answer["__count"] = str(total)
        following = at + size
        if len(rows) > at and dial.take(self.system, "repeated_page", entity.name):
            following = at
        if following < len(rows):
            answer["__next"] = f"{asked.url}?{urlencode({**options, '$skiptoken': f'{following:d}'})}"
        return json_response({"d": answer})

    def _write(self, request: Request, sets: dict[str, EntitySet], rest: str, accept: str, body: bytes) -> Response:
        session = request.cookies.get("SAP_SESSIONID_S4H_100", "")
        if self._host.dial.take(self.system, "csrf_expired"):
            self._tokens.clear()
        if not session or self._tokens.get(session) != request.headers.get("x-csrf-token"):
            return Response("CSRF token validation failed", 403, {"x-csrf-token": "Required"}, "text/plain")
        method = request.headers.get("x-http-method", request.method).upper()
        match = _PATH.match(rest)
        if match is None or match["set"] != "A_SalesOrder" or match["key"] is None or method not in ("PATCH", "MERGE"):
            return error(405, "/IWFND/CM_MGW/096", f"Method {method} not allowed for {rest}", accept)
        world = self._host.catch_up()
        order = self._find(world, sets["A_SalesOrder"], unquote(match["key"]))
        given = request.headers.get("if-match")
        if given is None:
            return error(428, "/IWFND/CM_MGW/095", "Precondition required: If-Match is missing", accept)
        if not same_etag(given, order.changed_at):
            return error(412, "/IWBEP/CM_MGW_RT/021", "Precondition failed: the ETag does not match", accept)
        try:
            changes = json.loads(body)
            changes = changes.get("d", changes)
            unknown = sorted(set(changes) - _WRITABLE)
        except (ValueError, AttributeError):
            return error(400, "/IWCOR/CX_OD_BAD_REQUEST", "Malformed payload", accept)
        if unknown:
            return error(400, "/IWBEP/CM_MGW_RT/022", f"Property {unknown[0]} can't be changed", accept)
        request_id = request.headers.get("x-request-id") or request.headers.get("requestid", "")
        self._host.run("update_order", host=self.system, number=order.number, changes=changes, request_id=request_id)
        return Response(status_code=204, headers={"dataserviceversion": "2.0", "etag": etag(order.changed_at)})


def _projection(asked: _Asked) -> dict[str, Any]:
    chosen = [p.strip() for p in asked.options.get("$select", "").split(",") if p.strip()]
    wanted = [p.strip() for p in asked.options.get("$expand", "").split(",") if p.strip()]
    known = asked.entity_set.entity.fields
    for name in chosen:
        if name != "*" and name.split("/")[0] not in known and name.split("/")[0] not in asked.entity_set.items:
            raise BadQuery(f"Property {name} not found in type '{asked.entity_set.type}'")
    for name in wanted:
        if name not in asked.entity_set.items:
            raise BadQuery(f"Navigation property {name} not found in type '{asked.entity_set.type}'")
    select = None if not chosen or "*" in chosen else frozenset(name.split("/")[0] for name in chosen)
    return {"select": select, "expand": frozenset(wanted)}


def _number(options: dict[str, str], name: str, default: int) -> int:
    text = options.get(name, str(default))
    if not text.isdigit():
        raise BadQuery(f"Invalid value '{text}' for {name}")
    return int(text)


def _token(options: dict[str, str]) -> int:
    return _number(options, "$skiptoken", 0)
