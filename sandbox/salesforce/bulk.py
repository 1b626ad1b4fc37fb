"""Bulk API 2.0 query jobs: made, prepared for a moment, read as CSV by locators, and deleted."""

from __future__ import annotations

import csv
import io
import json
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

Records = Callable[[str, bool], "tuple[str, tuple[str, ...], list[dict[str, Any]]] | Response"]
PREPARING_SECONDS = 0.5
JOBS_MAX = 20


@dataclass
class _Job:
    """A job: what was asked for, and its rows, taken when it was made."""

    version: str
    operation: str
    entity: str
    fields: tuple[str, ...]
    rows: list[dict[str, Any]]
    made_at: float
    state: str = "JobComplete"
    message: str | None = None


class Jobs:
    """The org's query jobs, in memory. `failing`: whether the next one fails, and how."""

    def __init__(self, failing: Callable[[str], Mapping[str, Any] | None], page_size: Callable[[str], int | None]) -> None:
        self._jobs: dict[str, _Job] = {}
        self._failing = failing
        self._page_size = page_size

    def answer(self, request: Request, parts: list[str], version: str, body: bytes, records: Records) -> Response:
        """The answer to a request below jobs/query; `parts` begin there. `records` runs a query: its object, fields and records."""
        if not parts:
            return self._make(version, body, records) if request.method == "POST" else _failed(405, "METHOD_NOT_ALLOWED", request.method)
        job = self._jobs.get(parts[0])
        if job is None:
            return _failed(404, "NOT_FOUND", "The requested resource does not exist")
        if parts[1:] == ["results"]:
            return self._results(request, job, version)
        if request.method == "DELETE":
            if self._state(job) not in ("JobComplete", "Failed", "Aborted"):
                return _failed(400, "API_ERROR", "The job is not in a state that allows it to be deleted")
            del self._jobs[parts[0]]
            return Response(status_code=204)
        if request.method == "PATCH":
            if self._state(job) in ("JobComplete", "Failed", "Aborted"):
                return _failed(400, "INVALIDJOBSTATE", "Aborting a finished job is not allowed")
            job.state = "Aborted"
        return _json(self._shown(parts[0], job, whole=True))

    def _make(self, version: str, body: bytes, records: Records) -> Response:
        try:
            sent = json.loads(body)
            operation, query = sent["operation"], sent["query"]
        except (ValueError, KeyError, TypeError):
            return _failed(400, "JSON_PARSER_ERROR", "operation and query are expected")
        if operation not in ("query", "queryAll") or sent.get("contentType", "CSV") != "CSV":
            return _failed(400, "INVALIDJOB", "only CSV query and queryAll jobs are taken")
        found = records(str(query), operation == "queryAll")
        if isinstance(found, Response):
            return found
        entity, fields, rows = found
        job = _Job(version, operation, entity, fields, rows, time.monotonic())
        if (how := self._failing(entity)) is not None:
            job.state, job.message = str(how.get("state", "Failed")), how.get("message")
        job_id = f"7505g00000{secrets.token_hex(4).upper()}"
        self._jobs[job_id] = job
        while len(self._jobs) > JOBS_MAX:
            del self._jobs[next(iter(self._jobs))]
        return _json(self._shown(job_id, job, whole=False))

    def _state(self, job: _Job) -> str:
        return job.state if job.state == "Aborted" or time.monotonic() - job.made_at >= PREPARING_SECONDS else "InProgress"

    def _shown(self, job_id: str, job: _Job, *, whole: bool) -> dict[str, Any]:
        state = self._state(job) if whole else "UploadComplete"
        shown: dict[str, Any] = {
            "id": job_id, "operation": job.operation, "object": job.entity, "createdById": "0055g00000AAAAAAA1", "state": state,
            "concurrencyMode": "Parallel", "contentType": "CSV", "apiVersion": float(job.version), "lineEnding": "LF", "columnDelimiter": "COMMA",
        }  # fmt: skip
        if whole:
            shown |= {"jobType": "V2Query", "retries": 0, "totalProcessingTime": 20, "isPkChunkingSupported": True}
            if state == "JobComplete":
                shown["numberRecordsProcessed"] = len(job.rows)
            if state == "Failed" and job.message:
                shown["errorMessage"] = job.message
        return shown

    def _results(self, request: Request, job: _Job, version: str) -> Response:
        if version != job.version:
            return _failed(409, "INVALIDVERSION", f"the job was made with version {job.version}")
        if self._state(job) != "JobComplete":
            return _failed(412, "JOB_NOT_COMPLETE", "The job has not completed")
        asked = request.query_params
        size = self._page_size(job.entity) or min(int(asked.get("maxRecords", 50_000)), 50_000)
        locator = asked.get("locator", "")
        at = int(locator.removeprefix("MQ")) if locator.removeprefix("MQ").isdigit() else 0
        rows = job.rows[at : at + size]
        following = at + size
        headers = {"Sforce-NumberOfRecords": str(len(rows)), "Sforce-Locator": "null" if following >= len(job.rows) else f"MQ{following}"}
        return Response(_csv(job.fields, rows), 200, headers, "text/csv")


def _csv(fields: tuple[str, ...], rows: list[dict[str, Any]]) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerow(fields)
    writer.writerows([_cell(row, name) for name in fields] for row in rows)
    return out.getvalue().encode()


def _cell(row: dict[str, Any], name: str) -> str:
    value: Any = row
    for step in name.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    text = str(value)
    return text.replace(".000+0000", ".000Z") if text.endswith(".000+0000") else text


def _json(body: Any) -> Response:
    return Response(json.dumps(body), 200, media_type="application/json;charset=UTF-8")


def _failed(status: int, code: str, message: str) -> Response:
    return Response(json.dumps([{"errorCode": code, "message": message}]), status, media_type="application/json;charset=UTF-8")
