"""An org that moves while it is read, written from Salesforce's contract alone: it shares no code with the other scripted orgs.

Records are created, changed in bulk under one stamp, deleted into the bin, taken out again, purged, merged, shared and unshared; some
commits become visible late, formulas change without a stamp. Sessions end, locators are lost, jobs fail or never end, limits are used up.
"""

from __future__ import annotations

import csv
import io
import itertools
import json
import random
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from sync.connections import Connection, Landscape
from sync.errors import AuthError, SourceError
from sync.ports import Source
from sync.systems.salesforce import make_source
from tests.contracts.suite_server import Asked, Reply, ScriptedServer, reply_json
from tests.contracts.suite_store import Key
from tests.contracts.worlds import Past, connection_of
from tests.contracts.worlds_weather import PASSING, Weather, WorldClock

SECRETS = {"client_id": "env:SF_TEST_ID", "client_secret": "env:SF_TEST_SECRET"}
PREFIX = {"Account": "001", "Opportunity": "006", "Contract": "800", "Quote": "0Q0"}
STREAM = {"Account": "accounts", "Opportunity": "opportunities", "Contract": "contracts", "Quote": "quotes"}
ENTITY = {"Account": "customer", "Opportunity": "opportunity", "Contract": "contract", "Quote": "quote"}
BASE = {"Id": "id", "CreatedDate": "datetime", "LastModifiedDate": "datetime", "SystemModstamp": "datetime", "IsDeleted": "boolean"}
FIELDS: dict[str, dict[str, str]] = {
    "Account": BASE | {"Name": "string", "AccountNumber": "string", "ParentId": "reference", "MasterRecordId": "reference",
                       "Segment__c": "string"},
    "Opportunity": BASE | {"Name": "string", "AccountId": "reference", "StageName": "picklist", "Amount": "currency", "CloseDate": "date",
                           "IsClosed": "boolean", "IsWon": "boolean"},
    "Contract": BASE | {"AccountId": "reference", "ContractNumber": "string", "StatusCode": "picklist", "Contract_Value__c": "currency"},
    "Quote": BASE | {"OpportunityId": "reference", "QuoteNumber": "string", "Status": "picklist", "GrandTotal": "currency"},
}  # fmt: skip
AMOUNT = {"Opportunity": ("Amount", "amount"), "Contract": ("Contract_Value__c", "value"), "Quote": ("GrandTotal", "amount")}
STATUSES = {"Draft": "draft", "InApproval": "in_approval", "Activated": "activated"}
_QUERY = re.compile(r"^SELECT (.+?) FROM (\w+)(?: WHERE (.+?))?(?: ORDER BY ([\w, ]+?))?(?: LIMIT (\d+))?$")
_TOKEN = re.compile(r"\s*(\(|\)|>=|<=|=|>|<|AND\b|OR\b|IN\b|,|'(?:[^'\\]|\\.)*'|[\w:.+-]+)")
_JOB = re.compile(r"^jobs/query/(\w+)(/results)?$")
Record = dict[str, Any]


class _Refused(Exception):
    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.reply = reply_json([{"message": message, "errorCode": code}], status)


@dataclass
class _Job:
    query: str
    polls: int
    end: str
    rows: list[Record] = field(default_factory=list)
    ready: bool = False


class SalesforceWorld:
    """See worlds.World; everything follows from `seed`. `faults`: those of the wire that may come."""

    sweeps: Sequence[timedelta] = (timedelta(days=8), *[timedelta(minutes=5)] * 6)

    standing: Collection[str] = ("customer_merge",)

    parts = ("create", "change", "delete", "undelete", "purge", "merge", "formula", "share", "log", "session", "refuse", "late", "skew", "wire",
             "bulk", "live")  # fmt: skip

    def __init__(self, seed: int, without: Collection[str] = ()) -> None:
        self.dice = random.Random(f"salesforce {seed}")
        self.without = without
        skew = self.dice.choice((0, 0, -600, 600, -45, 200)) * ("skew" not in without)
        faults = () if "wire" in without else PASSING
        self.clock = WorldClock(skew=timedelta(seconds=skew))
        self.weather = Weather(random.Random(f"weather {seed}"), self.clock, faults, rate=self.dice.choice((0, 0.05, 0.2)))
        self.name = f"world-sf-{seed}"
        self.budget = self.dice.choice((None, None, None, 150))
        self.multi = self.dice.random() < 0.5
        self.fields = {name: dict(fields) for name, fields in FIELDS.items()}
        if self.dice.random() < 0.5:
            del self.fields["Quote"]
        if self.multi:
            for name in AMOUNT.keys() & self.fields.keys():
                self.fields[name]["CurrencyIsoCode"] = "picklist"
        self.formulas = {"Account": ("Segment__c",)} if self.dice.random() < 0.5 else {}
        self.streams: Sequence[str] = [STREAM[name] for name in FIELDS]
        self.live_values = self.dice.random() < 0.5 and "live" not in without
        self.batch = self.dice.choice((2, 3, 5, 2000))
        self.options = {
            "page_size": self.dice.choice((3, 7, 2000)),
            "bulk_from": self.dice.choice((0, 8, 8, 20_000)),
            "bulk_page": self.dice.choice((3, 1000)),
            "settle_seconds": self.dice.choice((60, 60, 0)),
            "sweep_gone_max": 1.0,
            "deleted_minutes": self.dice.choice((60, 0)),
        }
        if "bulk" in without:
            self.options["bulk_from"] = 0
        self.kept: set[str] = set()
        """Of every object one that is always there: an empty list of ids proves nothing, and is not believed."""
        self.records: dict[str, dict[str, Record]] = {name: {} for name in self.fields}
        self.hidden: set[str] = set()
        self.log: list[tuple[datetime, str, str]] = []
        """(deleted at, object, id): what /deleted lists."""
        self.log_from = self.clock.theirs - timedelta(days=30)
        self.past = Past()
        self.late: list[tuple[datetime, str, Record]] = []
        self.tokens: dict[str, int] = {}
        self.jobs: dict[str, _Job] = {}
        self.locators: dict[str, tuple[str, datetime, list[Record], int, list[str], bool]] = {}
        self.refusing: tuple[str, datetime] | None = None
        self.gave_cause = False
        self._numbers = itertools.count(1)
        self.server = ScriptedServer(self._answer)
        self.server.between = self.weather.between
        for name in self.fields:
            self.kept.add(self._create(name, self.clock.theirs - timedelta(days=90)))
            for _ in range(self.dice.choice((0, 3, 12))):
                self._create(name, self.clock.theirs - timedelta(minutes=self.dice.randrange(1, 50_000)))

    # what a life asks of it

    def source(self) -> Source:
        return make_source(self._connection(), Landscape())

    def _connection(self) -> Connection:
        return connection_of(self, "salesforce", {**self.options, **({} if self.multi else {"currency": "EUR"})}, SECRETS)

    def moves(self) -> None:
        """One transaction, or one thing that no transaction tells."""
        self._arrive()
        kind = self.dice.choices(
            ("create", "change", "delete", "undelete", "purge", "merge", "formula", "share", "log", "session", "refuse"),
            (6, 8, 3, 2, 2, 1, 2, 2, 0.3, 1, 0.5),
        )[0]
        name = self.dice.choice(list(self.records))
        stamp = self.clock.theirs.replace(microsecond=0)
        late = self.dice.choice((0, 0, 0, 2, 40, 500)) * ("late" not in self.without)
        many = self.dice.choice((1, 1, 2, 9))
        if kind in self.without:
            return
        if kind == "create":
            for _ in range(many):
                self._create(name, stamp, late)
        elif kind in ("change", "delete", "undelete"):
            free = [r for r in self.records[name].values() if r["IsDeleted"] == (kind == "undelete") and not self._is_late(r["Id"])]
            for record in self.dice.sample(free, min(many, len(free))):
                if (kind == "undelete" and record.get("MasterRecordId")) or (kind == "delete" and record["Id"] in self.kept):
                    continue
                changed = {**record, **(self._values(name) if kind == "change" else {"IsDeleted": kind == "delete"})}
                self._commit(name, changed, stamp, late)
        elif kind == "purge":
            binned = [r["Id"] for r in self.records[name].values() if r["IsDeleted"] or self.dice.random() < 0.2]
            for key in self.dice.sample(binned, min(1, len(binned))):
                if not self._is_late(key) and key not in self.kept:
                    gone = self.records[name].pop(key)
                    self.past.gone.add(key)
                    if not gone["IsDeleted"] and self.dice.random() < 0.5:
                        self.log.append((stamp, name, key))
        elif kind == "merge":
            free = [r for r in self.records["Account"].values() if not r["IsDeleted"] and not self._is_late(r["Id"])]
            winner, loser = self.dice.sample(free, 2) if len(free) > 1 else (None, None)
            if winner is not None and loser is not None and loser["Id"] not in self.kept:
                self._commit("Account", {**loser, "IsDeleted": True, "MasterRecordId": winner["Id"]}, stamp, 0)
                self._commit("Account", {**winner, **self._values("Account")}, stamp, 0)
        elif kind == "formula":
            for record in self.records["Account"].values():
                if self.formulas and not self._is_late(record["Id"]):
                    record["Segment__c"] = self.dice.choice("ABC")
                    self._note("Account", record)
        elif kind == "share":
            keys = sorted(self.hidden) if self.hidden and self.dice.random() < 0.6 else list(self.records[name])
            for key in self.dice.sample(keys, min(1, len(keys))):
                self.hidden ^= {key} - self.kept
                self.past.gone.add(key)
        elif kind == "log":
            self.log_from = self.clock.theirs - timedelta(hours=2)
            self.log = [entry for entry in self.log if entry[0] >= self.log_from]
        elif kind == "session":
            self.tokens.clear()
        elif self.refusing is None:
            what = self.dice.choice(("lasting 401", "limit", "login"))
            self.refusing = (what, self.clock.now + timedelta(minutes=self.dice.choice((1, 20, 300))))

    def calms(self) -> None:
        self.refusing = None
        self.hidden.clear()
        for moment, _, _ in self.late:
            self.clock.now = max(self.clock.now, moment)
        self._arrive()

    def may_stop(self, error: SourceError) -> bool:
        return isinstance(error, AuthError) and self.gave_cause

    def was(self, key: Key, row: Mapping[str, Any]) -> str | None:
        return None if key[0] == "customer_merge" else self.past.was(key, row)

    def soon(self) -> dict[Key, dict[str, Any]]:
        return {
            key: row for key, row in self.truth().items() if key[1] not in self.past.gone and not (self.formulas and key[0] == "customer")
        }

    def truth(self) -> dict[Key, dict[str, Any]]:
        found = {
            (ENTITY[name], key): self._canonical(name, record)
            for name, kept in self.records.items() for key, record in kept.items()
            if not (record["IsDeleted"] and key in self.past.gone)  # deleted while nobody saw it: that it is gone is all that is known
        }  # fmt: skip
        for key, record in self.records["Account"].items():
            if record.get("MasterRecordId") and key not in self.past.gone:
                found["customer_merge", key] = {"into_key": record["MasterRecordId"]}
        return found

    # records

    def _create(self, name: str, stamp: datetime, late: int = 0) -> str:
        stamp = stamp.replace(microsecond=0)
        key = f"{PREFIX[name]}5g{self.dice.randrange(10**6):06d}{next(self._numbers):04d}AAA"
        record: Record = {**dict.fromkeys(self.fields[name]), "Id": key, "CreatedDate": stamp, "IsDeleted": False, **self._values(name)}
        self._commit(name, record, stamp, late)
        return key

    def _values(self, name: str) -> Record:
        pick, accounts = self.dice.choice, list(self.records["Account"]) or ["0015g0000000000AAA"]
        values: Record = {"Name": f"N {self.dice.randrange(10**6)}"}
        if name == "Account":
            values["AccountNumber"] = pick((None, f"C{self.dice.randrange(99)}"))
            if not self.formulas:
                values["Segment__c"] = pick("ABC")
        else:
            values |= {"AccountId": pick(accounts), "OpportunityId": "0065g0000000000AAA", "CloseDate": "2026-09-30"}
            values |= {"StageName": pick(("Open", "Won")), "IsClosed": pick((True, False)), "IsWon": pick((True, False))}
            values |= {
                "StatusCode": pick(list(STATUSES)),
                "Status": pick(("Draft", "Sent")),
                "ContractNumber": f"{self.dice.randrange(10**8):08d}",
            }
            values |= {"QuoteNumber": f"Q{self.dice.randrange(10**6)}", "CurrencyIsoCode": pick(("EUR", "USD"))}
            values[AMOUNT[name][0]] = pick((None, Decimal(self.dice.randrange(-(10**9), 10**12)).scaleb(-2)))
        return {each: value for each, value in values.items() if each in self.fields[name]}

    def _commit(self, name: str, record: Record, stamp: datetime, late: int) -> None:
        record = {**record, "LastModifiedDate": stamp, "SystemModstamp": stamp}
        if late:
            self.late.append((self.clock.now + timedelta(seconds=late), name, record))
        else:
            self._show(name, record)

    def _arrive(self) -> None:
        due = [entry for entry in self.late if entry[0] <= self.clock.now]
        self.late = [entry for entry in self.late if entry[0] > self.clock.now]
        for _, name, record in due:
            self._show(name, record)

    def _show(self, name: str, record: Record) -> None:
        before = self.records[name].get(record["Id"])
        if record["IsDeleted"] and not (before or {}).get("IsDeleted"):
            self.log.append((record["SystemModstamp"], name, record["Id"]))
        if not record["IsDeleted"]:
            self.log = [entry for entry in self.log if entry[2] != record["Id"]]
        self.records[name][record["Id"]] = record
        self._note(name, record)

    def _note(self, name: str, record: Record) -> None:
        self.past.note((ENTITY[name], record["Id"]), self._canonical(name, record))

    def _is_late(self, key: str) -> bool:
        return any(record["Id"] == key for _, _, record in self.late)

    def _canonical(self, name: str, record: Record) -> dict[str, Any]:
        """The columns that this world vouches for."""
        row = {"source_version": int(record["SystemModstamp"].timestamp() * 1000), "changed_at": record["SystemModstamp"]}
        row |= {"is_deleted": record["IsDeleted"], "source_key": record["Id"]}
        if name == "Account":
            row |= {"name": record["Name"], "number": record["AccountNumber"]}
            # formulas of what lies in the bin are nobody's matter
            return row if self.formulas and record["IsDeleted"] else row | {"segment": record["Segment__c"]}
        theirs, ours = AMOUNT[name]
        row |= {ours: record[theirs], "currency": record["CurrencyIsoCode"] if self.multi else "EUR"}
        if name == "Opportunity":
            return row | {
                "stage": record["StageName"],
                "customer_key": record["AccountId"],
                "is_won": record["IsWon"],
                "name": record["Name"],
            }
        if name == "Contract":
            return row | {"number": record["ContractNumber"], "status": STATUSES[record["StatusCode"]]}
        return row | {"number": record["QuoteNumber"], "status": record["Status"]}

    # the wire

    def _answer(self, asked: Asked) -> Reply:
        self._arrive()
        if self.refusing is not None and self.clock.now > self.refusing[1]:
            self.refusing = None
        refusing = self.refusing[0] if self.refusing else ""
        if asked.path == "/services/oauth2/token":
            return self._token(asked, refusing)
        token = asked.headers.get("authorization", "").removeprefix("Bearer ")
        if token not in self.tokens or (self.tokens[token] and self.dice.random() < 0.03):
            self.tokens.pop(token, None)
            return reply_json([{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}], 401)
        self.tokens[token] += 1
        if refusing == "lasting 401":
            self.gave_cause = True
            return reply_json([{"message": "This session is not valid for use with the REST API", "errorCode": "INVALID_SESSION_ID"}], 401)
        if refusing == "limit":
            return reply_json([{"message": "TotalRequests Limit exceeded.", "errorCode": "REQUEST_LIMIT_EXCEEDED"}], 403)
        prefix = "/services/data/v67.0/"
        if not asked.path.startswith(prefix):
            raise AssertionError(asked.path)
        try:
            return self._data(asked, asked.path.removeprefix(prefix), token)
        except _Refused as refused:
            return refused.reply

    def _token(self, asked: Asked, refusing: str) -> Reply:
        if asked.form().get("grant_type") != "client_credentials":
            return reply_json({"error": "unsupported_grant_type", "error_description": "grant type not supported"}, 400)
        if refusing == "login":
            self.gave_cause = True
            return reply_json({"error": "invalid_grant", "error_description": "no client credentials user enabled"}, 400)
        token = f"00D!{next(self._numbers)}"
        self.tokens[token] = 0
        return reply_json({"access_token": token, "scope": "api", "instance_url": self.server.url, "token_type": "Bearer",
                           "id": f"{self.server.url}/id/00D/005", "issued_at": "1747742400000", "signature": "s"})  # fmt: skip

    def _data(self, asked: Asked, path: str, token: str) -> Reply:
        kind, _, rest = path.partition("/")
        if path in ("query", "queryAll"):
            fields, rows = self._found(asked.query["q"], everything=path == "queryAll")
            return self._page(token, rows, 0, fields, everything=path == "queryAll")
        if kind in ("query", "queryAll"):
            held = self.locators.get(rest)
            if held is not None and held[0] != token:
                raise _Refused(401, "INVALID_SESSION_ID", "Session expired or invalid")
            if held is None or self.clock.now - held[1] > timedelta(days=2) or self.dice.random() < 0.03:
                raise _Refused(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
            return self._page(token, held[2], held[3], held[4], everything=held[5])
        if kind == "sobjects":
            name, _, what = rest.partition("/")
            if name not in self.fields:
                raise _Refused(404, "NOT_FOUND", "The requested resource does not exist")
            if what == "describe":
                told = [
                    {"name": each, "type": of, "calculated": each in self.formulas.get(name, ())} for each, of in self.fields[name].items()
                ]
                return reply_json({"name": name, "fields": told})
            if what == "deleted/":
                return self._deleted(name, asked.query["start"], asked.query["end"])
        if kind == "jobs":
            return self._jobs(asked, path)
        raise AssertionError(path)

    def _page(self, token: str, rows: list[Record], at: int, fields: list[str], *, everything: bool) -> Reply:
        size = self.dice.choice((1, self.batch, self.batch))
        page: dict[str, Any] = {"totalSize": len(rows), "done": at + size >= len(rows)}
        if not page["done"]:
            verb = "queryAll" if everything else "query"
            locator = f"0r8xx{next(self._numbers)}VASQ-{at + size}"
            self.locators[locator] = (token, self.clock.now, rows, at + size, fields, everything)
            page["nextRecordsUrl"] = f"/services/data/v67.0/{self.dice.choice(('query', verb))}/{locator}"
        page["records"] = [self._told(row, fields) for row in rows[at : at + size]]
        used = 4990 if self.dice.random() < 0.01 else 18
        form = self.dice.choice(
            ("api-usage={}/5000", "api-usage={}/5000; per-app-api-usage=17/250(appName=x)", "api-usage={}/5000; api-bursts=1/750")
        )
        return Reply(_dumps(page), headers={"Sforce-Limit-Info": form.format(used)})

    def _told(self, row: Record, fields: list[str]) -> Record:
        return {"attributes": {"type": "X", "url": "/services/data/v67.0/sobjects/X"}, **{name: row[name] for name in fields}}

    def _found(self, query: str, *, everything: bool) -> tuple[list[str], list[Record]]:
        match = _QUERY.match(query)
        if match is None:
            raise _Refused(400, "MALFORMED_QUERY", f"unexpected token in {query}")
        chosen, name, where, order, limit = match.groups()
        if name not in self.fields:
            raise _Refused(400, "INVALID_TYPE", f"sObject type '{name}' is not supported.")
        fields = [each.strip() for each in chosen.split(",")]
        for each in fields:
            if each not in self.fields[name]:
                raise _Refused(400, "INVALID_FIELD", f"No such column '{each}' on entity '{name}'.")
        kept = [row for row in self.records[name].values() if row["Id"] not in self.hidden and (everything or not row["IsDeleted"])]
        rows = [row if self.live_values else dict(row) for row in kept if where is None or _Condition(where).holds(row)]
        self.dice.shuffle(rows)
        if order:
            rows.sort(key=lambda row: [row[part.strip()] for part in order.split(",")])
        return fields, rows[: int(limit)] if limit else rows

    def _deleted(self, name: str, start: str, end: str) -> Reply:
        first, last = datetime.fromisoformat(start), datetime.fromisoformat(end)
        if first >= last or first < self.clock.theirs - timedelta(days=15):
            raise _Refused(400, "INVALID_REPLICATION_DATE", "startDate has to be before endDate, and less than 15 days ago")
        listed = [(at, key) for at, of, key in self.log if of == name and first <= at < last]
        if len(listed) > 6:
            raise _Refused(400, "EXCEEDED_ID_LIMIT", "too many ids")
        covered = min(last, self.clock.theirs - timedelta(seconds=self.dice.choice((0, 30))))
        covered = min([covered, *(moment + self.clock.skew - timedelta(minutes=12) for moment, _, _ in self.late)])
        return reply_json({
            "deletedRecords": [{"id": key, "deletedDate": _stamp(at)} for at, key in listed if at <= covered],
            "earliestDateAvailable": _stamp(self.log_from), "latestDateCovered": _stamp(max(covered, first)),
        })  # fmt: skip

    def _jobs(self, asked: Asked, path: str) -> Reply:
        if path == "jobs/query":
            sent = asked.json()
            if "ORDER BY" in sent["query"] or sent["contentType"] != "CSV":
                raise AssertionError(sent)
            self._found(sent["query"], everything=True)
            key = f"750xx{next(self._numbers):010d}"
            self.jobs[key] = _Job(
                sent["query"], self.dice.choice((0, 1, 3)), self.dice.choice(("JobComplete",) * 5 + ("Failed", "Aborted", "never"))
            )
            return reply_json({"id": key, "operation": "queryAll", "state": "UploadComplete", "contentType": "CSV", "apiVersion": 67.0})
        match = _JOB.match(path)
        job = None if match is None else self.jobs.get(match[1])
        if match is None or job is None or self.dice.random() < 0.02:
            raise _Refused(404, "NOT_FOUND", "The requested resource does not exist")
        if asked.method == "DELETE":
            if not job.ready and job.end == "JobComplete":
                raise _Refused(400, "API_ERROR", "the job is not in a terminal state")
            del self.jobs[match[1]]
            return Reply(b"", 204)
        return self._result(asked, job) if match[2] else self._state(match[1], job)

    def _state(self, key: str, job: _Job) -> Reply:
        told: dict[str, Any] = {"id": key, "jobType": "V2Query", "apiVersion": 67.0, "retries": 0, "state": "InProgress"}
        if job.end == "never":
            return reply_json(told)
        job.polls -= 1
        if job.polls >= 0:
            return reply_json(told)
        told["state"] = job.end
        if job.end == "Failed" and self.dice.random() < 0.5:
            told["errorMessage"] = "InternalServerError"
        if job.end == "JobComplete":
            if not job.ready:
                job.rows, job.ready = [dict(row) for row in self._found(job.query, everything=True)[1]], True
            told["numberRecordsProcessed"] = len(job.rows)
        return reply_json(told)

    def _result(self, asked: Asked, job: _Job) -> Reply:
        if not job.ready or self.dice.random() < 0.02:
            raise _Refused(412, "JOB_NOT_COMPLETE", "the job is not complete")
        if self.dice.random() < 0.02:
            raise _Refused(409, "API_VERSION_MISMATCH", "another version made this job")
        at, size = int(asked.query.get("locator", "MQ-0").removeprefix("MQ-")), int(asked.query.get("maxRecords", 10_000))
        rows, fields = job.rows[at : at + size], [each.strip() for each in job.query[7 : job.query.index(" FROM ")].split(",")]
        out = io.StringIO()
        writer = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\n")
        writer.writerow(fields)
        writer.writerows([[_cell(row[name]) for name in fields] for row in rows])
        more = at + size < len(job.rows)
        headers = {"Sforce-NumberOfRecords": str(len(rows)), "Sforce-Locator": f"MQ-{at + size}" if more else "null"}
        return Reply(out.getvalue().encode(), 200, "text/csv", headers)


class _Condition:
    """A WHERE clause: comparisons, IN, AND, OR and brackets."""

    def __init__(self, text: str) -> None:
        self.tokens = _TOKEN.findall(text)

    def holds(self, row: Record) -> bool:
        self.row, self.at = row, 0
        true = self._either()
        if self.at != len(self.tokens):
            raise _Refused(400, "MALFORMED_QUERY", "unexpected token")
        return true

    def _next(self) -> str:
        self.at += 1
        return str(self.tokens[self.at - 1])

    def _peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def _either(self) -> bool:
        true = self._both()
        while self._peek() == "OR":
            self._next()
            true = self._both() or true
        return true

    def _both(self) -> bool:
        true = self._one()
        while self._peek() == "AND":
            self._next()
            true = self._one() and true
        return true

    def _one(self) -> bool:
        token = self._next()
        if token == "(":
            true = self._either()
            self._next()
            return true
        held, sign = self.row[token], self._next()
        if sign == "IN":
            listed = []
            while self._next() != ")":
                if self._peek() not in (",", ")"):
                    listed.append(self._peek().strip("'"))
            return held in listed
        literal = self._next()
        told: Any = literal.strip("'") if literal.startswith("'") else datetime.fromisoformat(literal)
        return bool({"=": held == told, ">": held > told, "<": held < told, ">=": held >= told, "<=": held <= told}[sign])


def _stamp(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}+0000"


def _cell(value: Any) -> str:
    if isinstance(value, datetime):
        return _stamp(value).replace("+0000", "Z")
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _dumps(page: Mapping[str, Any]) -> bytes:
    """JSON with stamps, and amounts as bare numbers with all their digits."""
    text = json.dumps(page, default=lambda value: f"@@{value}@@" if isinstance(value, Decimal) else _stamp(value))
    return re.sub(r'"@@(-?[\d.E+]+)@@"', r"\1", text).encode()
