"""A scripted org that also takes Bulk API 2.0 query jobs, in the shapes that the bulk guide shows."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import dataclass, field
from typing import Any

from tests.contracts.suite_server import Asked, Reply, reply_json
from tests.contracts.test_salesforce import Org

_JOBS = re.compile(r"^/services/data/v67\.0/jobs/query(?:/(?P<id>[A-Za-z0-9]+)(?P<results>/results)?)?$")


@dataclass
class BulkJob:
    """A job as the org keeps it. `polls`: how often it still says InProgress."""

    query: str
    rows: list[dict[str, Any]]
    polls: int = 0
    state: str = "JobComplete"
    error: str | None = None
    deleted: bool = False
    results: list[str | None] = field(default_factory=list)


class BulkOrg(Org):
    """Jobs by id. The dials: `next_state`, `polls`, `lose` rows of a result, `stamp_form` of CSV dates, `status` of the results."""

    def __init__(self) -> None:
        super().__init__()
        self.jobs: dict[str, BulkJob] = {}
        self.next_state = "JobComplete"
        self.error: str | None = None
        self.polls = 1
        self.lose = 0
        self.stamp_form = "Z"
        self.status = 200
        self.quoting: Any = csv.QUOTE_ALL
        self.refuses = False
        self.repeat_locator = False

    def answer(self, asked: Asked) -> Reply:
        """Jobs, then whatever the org without them answers."""
        match = _JOBS.match(asked.path)
        if match is None:
            return super().answer(asked)
        if asked.headers.get("authorization") != f"Bearer {self.token}":
            return reply_json([{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}], 401)
        if match["id"] is None:
            return self._begin(asked)
        job = self.jobs.get(match["id"])
        if job is None or job.deleted:
            return reply_json([{"errorCode": "NOT_FOUND", "message": "The requested resource does not exist"}], 404)
        if asked.method == "DELETE":
            job.deleted = True
            return Reply(b"", 204)
        return self._results(asked, job) if match["results"] else self._status(match["id"], job)

    def _begin(self, asked: Asked) -> Reply:
        sent = asked.json()
        if self.refuses:
            return reply_json([{"errorCode": "API_ERROR", "message": "Entity is not supported by the Bulk API"}], 400)
        assert sent["contentType"] == "CSV"
        assert "ORDER BY" not in sent["query"]
        job_id = f"7504C000000{len(self.jobs):07d}"
        rows = self.answers[self._asked(sent["query"])]
        self.jobs[job_id] = BulkJob(sent["query"], rows, self.polls, self.next_state, self.error)
        return reply_json({"id": job_id, "operation": sent["operation"], "object": "X", "createdById": "0054C00000AAAAA",
                           "createdDate": "2026-05-20T12:00:00.000+0000", "systemModstamp": "2026-05-20T12:00:00.000+0000", "state": "UploadComplete",
                           "concurrencyMode": "Parallel", "contentType": "CSV", "apiVersion": 67.0, "lineEnding": "LF", "columnDelimiter": "COMMA"})  # fmt: skip

    def _status(self, job_id: str, job: BulkJob) -> Reply:
        state = job.state
        if job.polls > 0:
            job.polls, state = job.polls - 1, "InProgress"
        told: dict[str, Any] = {
            "id": job_id,
            "state": state,
            "jobType": "V2Query",
            "apiVersion": 67.0,
            "retries": 0,
            "totalProcessingTime": 105,
        }
        if state == "JobComplete":
            told["numberRecordsProcessed"] = len(job.rows)
        if job.error and state == "Failed":
            told["errorMessage"] = job.error
        return reply_json(told)

    def _results(self, asked: Asked, job: BulkJob) -> Reply:
        job.results.append(asked.query.get("locator"))
        if self.status != 200:
            return reply_json([{"errorCode": "JOB_NOT_COMPLETE", "message": "The job is not complete"}], self.status)
        size = int(asked.query["maxRecords"])
        at = int(asked.query.get("locator", "MQ-0").rpartition("-")[2])
        rows = job.rows[at : at + size]
        following = at if self.repeat_locator and at else at + size
        done = following >= len(job.rows)
        if self.lose and done:
            rows = rows[: -self.lose]
        headers = {"Sforce-NumberOfRecords": str(len(rows)), "Sforce-Locator": "null" if done else f"MQ-{following}"}
        return Reply(self.page(job.query, rows), content_type="text/csv", headers=headers)

    def page(self, query: str, rows: list[dict[str, Any]]) -> bytes:
        """The rows as CSV, header first, as the query selects them."""
        fields = [name.strip() for name in query[7 : query.index(" FROM ")].split(",")]
        out = io.StringIO()
        writer = csv.writer(out, quoting=self.quoting, lineterminator="\n")
        writer.writerow(fields)
        for row in rows:
            writer.writerow([self._cell(row, name) for name in fields])
        return out.getvalue().encode()

    def _cell(self, row: dict[str, Any], name: str) -> str:
        value: Any = row
        for step in name.split("."):
            value = value.get(step) if isinstance(value, dict) else None
        if value is None:
            return ""
        if isinstance(value, bool):
            return str(value).lower()
        if isinstance(value, str):
            return value.replace(".000+0000", ".000Z") if self.stamp_form == "Z" else value
        return json.dumps(value)
