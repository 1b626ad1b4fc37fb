"""Writes to the org: single records by id or external id, and collections of up to 200 with a result for each."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from sandbox.host import Host
from sandbox.salesforce.capture import Origin
from sandbox.salesforce.objects import OBJECTS
from sandbox.world.engine import World
from sandbox.world.model import Account
from sandbox.world.operations import Refused, account_changes

EXTERNAL_ID = "ERP_Customer_Number__c"
LOCKED = Refused("UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access to this record or 1 records")


class Writes:
    """Only accounts can be written; this org's integration user has no rights to the rest."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._caller: tuple[str, str | None] = ("", None)
        self.look: Callable[[], None] = lambda: None
        self.origins: dict[str, Origin] = {}

    def answer(self, request: Request, parts: list[str], body: bytes, version: str) -> Response:
        """The answer to a modifying request below /services/data/vXX.X/."""
        client = re.search(r"(?:^|[,;\s])client=([^,;\s]+)", request.headers.get("sforce-call-options", ""))
        self._caller = (version, client[1] if client else None)
        self.look()
        try:
            sent = json.loads(body) if body else {}
        except ValueError:
            return _failed(400, Refused("JSON_PARSER_ERROR", "The request body is not valid JSON"))
        request_id = request.headers.get("x-request-id", "")
        if request.method == "PATCH" and parts[:2] == ["composite", "sobjects"]:
            return self._collection(parts[2:], sent, request_id)
        if request.method != "PATCH" or len(parts) < 3 or parts[0] != "sobjects":
            return _failed(405, Refused("METHOD_NOT_ALLOWED", f"HTTP Method '{request.method}' not allowed"))
        if parts[1] != "Account":
            known = parts[1] in OBJECTS
            code = "INSUFFICIENT_ACCESS_OR_READONLY" if known else "NOT_FOUND"
            return _failed(403 if known else 404, Refused(code, "insufficient access rights on object id"))
        try:
            if len(parts) == 3:
                return self._by_id(parts[2], sent, request_id)
            if parts[2] == EXTERNAL_ID:
                only = request.query_params.get("updateOnly", "").lower() == "true"
                return self._by_external_id(parts[3], sent, only, request_id)
        except Refused as refused:
            return _failed(400, refused)
        return _failed(404, Refused("NOT_FOUND", "Provided external ID field does not exist or is not accessible"))

    def _by_id(self, record_id: str, changes: dict[str, Any], request_id: str) -> Response:
        account = self._host.world.accounts.get(record_id)
        if account is None or account.deleted:
            return _failed(404, Refused("NOT_FOUND", "The requested resource does not exist"))
        self._update(account, changes, request_id)
        return Response(status_code=204)

    def _by_external_id(self, value: str, changes: dict[str, Any], only: bool, request_id: str) -> Response:
        found = with_number(self._host.world, value)
        if len(found) > 1:
            return several(found)
        if found:
            self._update(found[0], changes, request_id)
            return _done(200, found[0].id, created=False)
        if only:
            return _failed(404, Refused("NOT_FOUND", "The requested resource does not exist"))
        account_changes(changes)
        made = self._write("create_account", changes={**changes, EXTERNAL_ID: value}, request_id=request_id)
        return _done(201, made["id"], created=True)

    def _update(self, account: Account, changes: dict[str, Any], request_id: str) -> None:
        changes = {k: v for k, v in changes.items() if k not in ("attributes", "Id", "id")}
        if self._host.dial.take("salesforce", "lock_row", "Account"):
            raise LOCKED
        account_changes(changes)
        self._write("update_account", id=account.id, changes=changes, request_id=request_id)

    def _write(self, name: str, **arguments: Any) -> dict[str, Any]:
        made = self._host.run(name, **arguments)
        account = self._host.world.accounts[made["id"]]
        self.origins[account.id] = Origin(account.changed_at, *self._caller)
        return made

    def _collection(self, path: list[str], sent: Any, request_id: str) -> Response:
        records = sent.get("records") if isinstance(sent, dict) else None
        by_number = path == ["Account", EXTERNAL_ID]
        if not isinstance(records, list) or (path and not by_number):
            return _failed(400, Refused("JSON_PARSER_ERROR", "records expected"))
        if len(records) > 200:
            return _failed(400, Refused("EXCEEDED_MAX_SIZE_REQUEST", "record count exceeds 200"))
        all_or_none = bool(sent.get("allOrNone"))
        problems = [self._problem(record, by_number) for record in records]
        results: list[dict[str, Any]] = []
        for record, problem in zip(records, problems, strict=True):
            if problem is None and all_or_none and any(problems):
                problem = Refused("ALL_OR_NONE_OPERATION_ROLLED_BACK", "Record rolled back because not all records were valid")
            results.append(_result(problem) if problem else self._write_one(record, by_number, request_id))
        return Response(json.dumps(results), media_type="application/json;charset=UTF-8")

    def _problem(self, record: Any, by_number: bool) -> Refused | None:
        if not isinstance(record, dict) or record.get("attributes", {}).get("type") != "Account":
            return Refused("JSON_PARSER_ERROR", "attributes.type Account expected")
        world = self._host.world
        if not by_number and record.get("Id", record.get("id")) not in world.accounts:
            return Refused("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id")
        try:
            account_changes({k: v for k, v in record.items() if k not in ("attributes", "Id", "id")})
        except Refused as refused:
            return refused
        return LOCKED if self._host.dial.take("salesforce", "lock_row", "Account") else None

    def _write_one(self, record: dict[str, Any], by_number: bool, request_id: str) -> dict[str, Any]:
        changes = {k: v for k, v in record.items() if k not in ("attributes", "Id", "id")}
        world = self._host.world
        try:
            found = (
                with_number(world, str(record.get(EXTERNAL_ID))) if by_number else [world.accounts[str(record.get("Id", record.get("id")))]]
            )
            if found:
                self._write("update_account", id=found[0].id, changes=changes, request_id=request_id)
                return {"id": found[0].id, "success": True, "errors": [], "created": False}
            made = self._write("create_account", changes=changes, request_id=request_id)
            return {"id": made["id"], "success": True, "errors": [], "created": True}
        except Refused as refused:
            return _result(refused)


def several(found: list[Account]) -> Response:
    """More than one account has the external id: 300 with their addresses."""
    urls = [f"/services/data/v67.0/sobjects/Account/{a.id}" for a in found]
    return Response(json.dumps(urls), 300, media_type="application/json;charset=UTF-8")


def with_number(world: World, value: str) -> list[Account]:
    """The accounts that have this ERP number."""
    return [a for a in world.accounts.values() if a.erp_number == value and not a.deleted]


def _result(refused: Refused) -> dict[str, Any]:
    fields = [refused.field] if refused.field else []
    problem = {"statusCode": refused.code, "message": str(refused), "fields": fields}
    return {"success": False, "errors": [problem], "created": False}


def _done(status: int, record_id: str, *, created: bool) -> Response:
    body = {"id": record_id, "success": True, "errors": [], "created": created}
    return Response(json.dumps(body), status, media_type="application/json;charset=UTF-8")


def _failed(status: int, refused: Refused) -> Response:
    problem: dict[str, Any] = {"message": str(refused), "errorCode": refused.code}
    if refused.field:
        problem["fields"] = [refused.field]
    return Response(json.dumps([problem]), status, media_type="application/json;charset=UTF-8")
