"""The Salesforce org over HTTP: OAuth client credentials, REST query with locators, describe, deletes."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, unquote

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from sandbox.gate import WRITES, Target
from sandbox.host import Host
from sandbox.records import Entity, disturb, visible
from sandbox.salesforce import login
from sandbox.salesforce.bulk import Jobs
from sandbox.salesforce.capture import Origin
from sandbox.salesforce.objects import BROKEN, OBJECTS, ORGANIZATION, RELATIONS, UNKNOWN_ACCOUNT, find, second, wire
from sandbox.salesforce.soql import MalformedQuery, Query, parse
from sandbox.salesforce.writes import Writes, several, with_number
from sandbox.world.engine import World

SYSTEM = "salesforce"
VERSIONS = ("59.0", "64.0", "66.0", "67.0")
_DATA = re.compile(r"^/services/data/v(?P<version>\d+\.\d)(?:/(?P<rest>.*))?$")
_ENCODE = msgspec.json.Encoder(decimal_format="number")


def reply(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A JSON answer; amounts are numbers written digit by digit."""
    return Response(_ENCODE.encode(body), status, headers, "application/json;charset=UTF-8")


def failure(status: int, code: str, message: str, fields: list[str] | None = None) -> Response:
    """A REST error: an array of one."""
    problem: dict[str, Any] = {"message": message, "errorCode": code}
    if fields is not None:
        problem["fields"] = fields
    return reply([problem], status)


@dataclass
class _Cursor:
    """What a locator stands for: a session, the chosen fields, and the ids found when the query ran."""

    session: str
    entity: Entity
    query: Query
    rows: list[Any]
    batch: int
    path: str


@dataclass
class Org:
    """Answers of the org. Sessions and locators live in memory: a restart logs everybody out."""

    host: Host
    client_id: str
    client_secret: str
    base_url: str = ""
    _sessions: set[str] = field(default_factory=set)
    _cursors: dict[str, _Cursor] = field(default_factory=dict)
    _calls: int = 0

    def __post_init__(self) -> None:
        self._writes = Writes(self.host)
        dial = self.host.dial

        def failing(name: str) -> dict[str, Any] | None:
            fault = dial.take(SYSTEM, "job_failed", name)
            return None if fault is None else fault.options

        def page_size(name: str) -> int | None:
            fault = dial.peek(SYSTEM, "page_size", name)
            return None if fault is None else int(fault.options.get("size", 50))

        self._jobs = Jobs(failing, page_size)

    @property
    def origins(self) -> Mapping[str, Origin]:
        """Record id -> the call that wrote it last."""
        return self._writes.origins

    def before_write(self, look: Callable[[], None]) -> None:
        """Has `look` called before every write, so that what others changed until then is told of apart from it."""
        self._writes.look = look

    def target(self, request: Request) -> Target:
        """What the request is about, for the fault dial."""
        path = request.url.path
        token = path.endswith("/oauth2/token")
        rest = match["rest"] or "" if (match := _DATA.match(path)) else ""
        soql = request.query_params.get("q", "")
        named = re.search(r"\bFROM\s+(\w+)", soql, re.IGNORECASE) or re.search(r"sobjects/(\w+)", rest)
        following = bool(re.match(r"query(All)?/\w", rest))
        entity = named[1] if named else None
        if following and (cursor := self._cursors.get(_locator(rest)[0])):
            entity = cursor.entity.name
        return Target(entity, following, token, request.method in WRITES and not token)

    def void_tokens(self) -> Response:
        """Ends every session, as an expired one is answered."""
        self._sessions.clear()
        return failure(401, "INVALID_SESSION_ID", "Session expired or invalid")

    async def answer(self, request: Request) -> Response:
        """The answer to one request, faults aside."""
        body = await request.body()
        path = request.url.path
        if path == "/services/oauth2/token":
            return self._token(request, body)
        if path.rstrip("/") == "/services/data":
            return reply([{"label": f"v{v}", "url": f"/services/data/v{v}", "version": v} for v in VERSIONS])
        session = request.headers.get("authorization", "").removeprefix("Bearer ")
        if session not in self._sessions:
            return failure(401, "INVALID_SESSION_ID", "Session expired or invalid")
        match = _DATA.match(path)
        if match is None or match["version"] not in VERSIONS:
            return failure(404, "NOT_FOUND", "The requested resource does not exist")
        self._calls += 1
        if self.host.dial.take(SYSTEM, "quota", self.target(request).entity):
            response = failure(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")
        else:
            response = self._route(request, match["version"], match["rest"] or "", session, body)
        response.headers["Sforce-Limit-Info"] = f"api-usage={self._calls}/100000"
        return response

    def _token(self, request: Request, body: bytes) -> Response:
        form = {k: v[0] for k, v in parse_qs(body.decode("utf-8", "replace")).items()}
        basic = request.headers.get("authorization", "")
        known = (self.client_id, self.client_secret)
        refused = login.refusal(form, basic, known, self.host.world.certificates, self.base_url)
        if refused is not None:
            return reply({"error": refused[0], "error_description": refused[1]}, 400)
        session = f"{ORGANIZATION[:15]}!{secrets.token_urlsafe(48)}"
        self._sessions.add(session)
        return reply({
            "access_token": session, "signature": secrets.token_urlsafe(24), "scope": "api",
            "instance_url": self.base_url, "id": f"{self.base_url}/id/{ORGANIZATION}/0055g00000AAAAAAA1",
            "token_type": "Bearer", "issued_at": str(int(time.time() * 1000)), "api_instance_url": self.base_url,
        })  # fmt: skip

    def _route(self, request: Request, version: str, rest: str, session: str, body: bytes) -> Response:
        parts = [unquote(p) for p in rest.strip("/").split("/") if p]
        world = self.host.catch_up()
        if parts[:2] == ["jobs", "query"]:
            return self._jobs.answer(request, parts[2:], version, body, lambda q, every: self._found(world, q, version, everything=every))
        if request.method in WRITES:
            return self._writes.answer(request, parts, body, version)
        if parts[:1] in (["query"], ["queryAll"]):
            if len(parts) == 2:
                return self._more(world, rest, session, version)
            return self._query(world, request, session, parts[0], version)
        if parts == ["limits"]:
            return reply({"DailyApiRequests": {"Max": 100000, "Remaining": max(0, 100000 - self._calls)}})
        if parts == ["sobjects"]:
            listed = [{"name": n, "label": n, "queryable": True, "custom": False} for n in OBJECTS]
            return reply({"encoding": "UTF-8", "maxBatchSize": 200, "sobjects": listed})
        if len(parts) >= 2 and parts[0] == "sobjects" and parts[1] in OBJECTS:
            return self._object(world, request, parts, version)
        return failure(404, "NOT_FOUND", "The requested resource does not exist")

    def _found(
        self, world: World, text: str, version: str, *, everything: bool
    ) -> tuple[str, tuple[str, ...], list[dict[str, Any]]] | Response:
        """A query's object, fields and records all at once."""
        ran = self._run(world, text, everything=everything)
        if isinstance(ran, Response):
            return ran
        entity, query, rows = ran
        return entity.name, query.fields, [self._record(world, entity, row, query.fields, version) for row in rows]

    def _run(self, world: World, text: str, *, everything: bool) -> tuple[Entity, Query, list[Any]] | Response:
        try:
            query = parse(text)
        except MalformedQuery as wrong:
            return failure(400, "MALFORMED_QUERY", f"\n{text}\n^\nERROR at Row:1:Column:1\n{wrong}")
        entity = OBJECTS.get(query.object)
        if entity is None or self._hides(query.object, None):
            message = f"\n{text}\nERROR at Row:1:Column:1\nsObject type '{query.object}' is not supported."
            return failure(400, "INVALID_TYPE", message)
        for name, place in query.names:
            if not _known(entity, name) or self._hides(entity.name, name):
                line = " " * place + "^"
                return failure(400, "INVALID_FIELD", f"\n{text}\n{line}\nERROR at Row:1:Column:{place + 1}\n"
                               f"No such column '{name}' on entity '{entity.name}'. If you are attempting to use a custom "
                               "field, be sure to append the '__c' after the custom field name.")  # fmt: skip
        try:
            return entity, query, self._rows(world, entity, query, everything=everything)
        except MalformedQuery as wrong:
            return failure(400, "INVALID_QUERY_FILTER_OPERATOR", f"\n{text}\nERROR at Row:1:Column:1\n{wrong}")

    def _hides(self, name: str, field_name: str | None) -> bool:
        """Whether the integration user is not shown an object (None), or a field of it."""
        fault = self.host.dial.peek(SYSTEM, "hidden", name)
        return fault is not None and fault.entity == name and fault.options.get("field") == field_name

    def _query(self, world: World, request: Request, session: str, verb: str, version: str) -> Response:
        ran = self._run(world, request.query_params.get("q", ""), everything=verb == "queryAll")
        if isinstance(ran, Response):
            return ran
        entity, query, rows = ran
        if query.count:
            return reply({"totalSize": len(rows), "done": True, "records": []})
        cursor = _Cursor(session, entity, query, rows, self._batch(request, entity), f"/services/data/v{version}/{verb}")
        key = f"01g5g0{secrets.token_hex(6)}"
        self._cursors[key] = cursor
        while len(self._cursors) > 200:
            del self._cursors[next(iter(self._cursors))]
        return self._page(world, key, cursor, 0, version)

    def _batch(self, request: Request, entity: Entity) -> int:
        if fault := self.host.dial.peek(SYSTEM, "page_size", entity.name):
            return int(fault.options.get("size", 50))
        asked = re.search(r"batchSize=(\d+)", request.headers.get("sforce-query-options", ""))
        return min(max(int(asked[1]), 200), 2000) if asked else 2000

    def _rows(self, world: World, entity: Entity, query: Query, *, everything: bool) -> list[Any]:
        rows = []
        for row in visible(world, self.host.dial, SYSTEM, entity):
            if not everything and getattr(row, "deleted", False):
                continue
            if query.where(lambda name, row=row: value_of(world, entity, row, name)):  # type: ignore[misc]
                rows.append(row)
        for name, descending in reversed(query.order):
            rows.sort(key=lambda r, n=name: _sortable(value_of(world, entity, r, n)), reverse=descending)  # type: ignore[misc]
        return rows if query.limit is None else rows[: query.limit]

    def _more(self, world: World, rest: str, session: str, version: str) -> Response:
        key, at = _locator(rest)
        cursor = self._cursors.get(key)
        if cursor is None:
            return failure(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
        if cursor.session != session:
            return failure(401, "INVALID_SESSION_ID", "Session expired or invalid")
        return self._page(world, key, cursor, at, version)

    def _page(self, world: World, key: str, cursor: _Cursor, at: int, version: str) -> Response:
        entity, rows = cursor.entity, cursor.rows[at : at + cursor.batch]
        page = [self._record(world, entity, row, cursor.query.fields, version) for row in rows]
        page = disturb(self.host.dial, SYSTEM, entity, page, UNKNOWN_ACCOUNT)
        following = at + cursor.batch
        done = following >= len(cursor.rows)
        if rows and self.host.dial.take(SYSTEM, "repeated_page", entity.name):
            following, done = at, False
        answer: dict[str, Any] = {"totalSize": len(cursor.rows), "done": done}
        if not done:
            answer["nextRecordsUrl"] = f"{cursor.path}/{key}-{following}"
        return reply({**answer, "records": page})

    def _record(self, world: World, entity: Entity, row: Any, names: tuple[str, ...], version: str) -> dict[str, Any]:
        key = entity.key(row)
        url = f"/services/data/v{version}/sobjects/{entity.name}/{key}"
        record: dict[str, Any] = {"attributes": {"type": entity.name, "url": url}}
        for name in names:
            relation, _, inner = name.partition(".")
            if not inner:
                field_of = canonical_field(entity, name)
                record[field_of] = wire(entity.fields[field_of].get(world, row))
                continue
            parent = record.setdefault(relation, {"attributes": {"type": RELATIONS[relation][1]}})
            parent[inner] = wire(value_of(world, entity, row, name))
        how = world.broken.get((SYSTEM, entity.name, key)) if world.broken else None
        if how is not None and entity.breakable[how] in record:
            record[entity.breakable[how]] = BROKEN[how]
        return record

    def _object(self, world: World, request: Request, parts: list[str], version: str) -> Response:
        entity = OBJECTS[parts[1]]
        if self._hides(entity.name, None):
            return failure(404, "NOT_FOUND", "The requested resource does not exist")
        if parts[2:] == ["describe"]:
            described = _describe(entity)
            described["fields"] = [each for each in described["fields"] if not self._hides(entity.name, each["name"])]
            return reply(described)
        if parts[2:] == ["deleted"]:
            return self._deleted(world, request, entity)
        row = None
        if len(parts) == 3:
            row = find(world, entity.name, parts[2])
        elif len(parts) == 4 and parts[1:3] == ["Account", "ERP_Customer_Number__c"]:
            found = with_number(world, parts[3])
            if len(found) > 1:
                return several(found)
            row = found[0] if found else None
        if row is None or getattr(row, "deleted", False):
            return failure(404, "NOT_FOUND", "The requested resource does not exist")
        chosen = request.query_params.get("fields")
        names = tuple(chosen.split(",")) if chosen else tuple(entity.fields)
        for name in names:
            if not _known(entity, name) or "." in name:
                return failure(400, "INVALID_FIELD", f"No such column '{name}' on sobject of type {entity.name}")
        return reply(self._record(world, entity, row, names, version))

    def _deleted(self, world: World, request: Request, entity: Entity) -> Response:
        try:
            start, end = (
                datetime.fromisoformat(request.query_params[k].replace(" ", "+").replace("Z", "+00:00")).astimezone(UTC)
                for k in ("start", "end")
            )
        except (KeyError, ValueError):
            return failure(400, "INVALID_REPLICATION_DATE", "start and end are required ISO 8601 datetimes")
        gone = [
            {"id": entity.key(row), "deletedDate": wire(second(entity.stamp(row)))}
            for row in entity.rows(world)
            if getattr(row, "deleted", False) and start <= entity.stamp(row) <= end
        ]
        return reply({"deletedRecords": gone, "earliestDateAvailable": wire(start), "latestDateCovered": wire(end)})


def canonical_field(entity: Entity, name: str) -> str:
    """The field's own spelling: names are not case-sensitive. KeyError when there is none."""
    if name in entity.fields:
        return name
    return {n.casefold(): n for n in entity.fields}[name.casefold()]


def _known(entity: Entity, name: str) -> bool:
    relation, _, inner = name.partition(".")
    if inner:
        id_field, parent = RELATIONS.get(relation, ("", ""))
        return id_field in entity.fields and _known(OBJECTS[parent], inner)
    return name.casefold() in {n.casefold() for n in entity.fields}


def value_of(world: World, entity: Entity, row: Any, name: str) -> Any:
    """A field's value, through one parent when the name is a path."""
    relation, _, inner = name.partition(".")
    if not inner:
        return entity.fields[canonical_field(entity, name)].get(world, row)
    id_field, parent = RELATIONS[relation]
    found = find(world, parent, str(entity.fields[id_field].get(world, row)))
    return None if found is None else value_of(world, OBJECTS[parent], found, inner)


def _sortable(value: Any) -> tuple[bool, Any]:
    return value is not None, value if value is not None else 0


def _locator(rest: str) -> tuple[str, int]:
    key, _, at = rest.rstrip("/").rpartition("/")[2].rpartition("-")
    return key, int(at) if at.isdigit() else 0


def _describe(entity: Entity) -> dict[str, Any]:
    described = [
        {"name": f.name, "label": f.name, "type": f.type, "length": f.length, "custom": f.name.endswith("__c"),
         "externalId": f.name == "ERP_Customer_Number__c", "unique": f.name == "ERP_Customer_Number__c",
         "idLookup": f.name in ("Id", "ERP_Customer_Number__c"), "nillable": f.name not in ("Id", "Name"),
         "updateable": f.name.startswith("Collections_") or f.name == "Name", "calculated": False,
         "precision": 18 if f.type in ("currency", "double") else 0,
         "scale": 2 if f.type == "currency" else 0} for f in entity.fields.values()
    ]  # fmt: skip
    return {"name": entity.name, "label": entity.name, "custom": False, "queryable": True, "createable": False,
            "updateable": entity.name == "Account", "deletable": False, "fields": described}  # fmt: skip
