"""A scripted treasury tenant over real sockets: what it holds is plain data that a test changes as it likes."""

from __future__ import annotations

import io
import json
import re
import zipfile
from datetime import date, datetime
from typing import Any
from urllib.parse import unquote

from sync.connections import Connection, Landscape, LegalEntity
from tests.contracts.suite import NOW
from tests.contracts.suite_server import Asked, Reply, ScriptedServer, reply_json

LANDSCAPE = Landscape(
    legal_entities=(
        LegalEntity(code="DE01", name="Meridian", region="EMEA", currency="EUR"),
        LegalEntity(code="US01", name="Meridian Inc", region="NA", currency="USD"),
    )
)


def account(code: str, *, number: str = "1", company: str = "DE01", stamp: str = "2026-05-01T08:00:00Z") -> dict[str, Any]:
    """An account as the API shows it."""
    return {"uuid": f"u-{code}", "code": code, "banCode": number, "ibanCode": None, "description": code, "bank": {"code": "COBA"},
            "company": {"code": company}, "currency": {"code": "EUR"}, "updateDate": stamp}  # fmt: skip


class TaskDesk:
    """The tenant's process templates: a run is pending once, then done; its files are what the bank has sent until it was started."""

    def __init__(self) -> None:
        self.files: list[bytes] = []
        self.asked: dict[str, int] = {}
        self.made: dict[str, list[bytes]] = {}
        self.last_words = "Complete"
        self.pending = 1

    def answer(self, path: str, asked: Asked) -> Reply:
        """One answer; `path` begins below process-templates/."""
        name, _, what = path.partition("/")
        if what == "run":
            task = f"task-{len(self.asked) + 1}"
            self.asked[task], self.made[task] = 0, list(self.files)
            return reply_json([{"taskId": task}])
        if what == "files":
            return self._files(asked.query["taskId"])
        if name not in self.asked:
            return reply_json({"error": {"code": "NotFound", "message": "no such task"}}, 404)
        if what == "details":
            return reply_json({"taskId": name, "logs": [{"severity": "ERROR", "message": "The output format is not defined"}]})
        self.asked[name] += 1
        words = "Pending" if self.asked[name] <= self.pending else self.last_words
        return reply_json({"status": words, "subTasks": []})

    def _files(self, task: str) -> Reply:
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            for number, content in enumerate(self.made[task], start=1):
                archive.writestr(zipfile.ZipInfo(f"statement-{number}.xml"), content)
        return Reply(packed.getvalue() if self.made[task] else b"", content_type="application/zip")


class Tenant:
    """A scripted tenant: accounts, balances per account and day, cash flows sorted by their stamp; pages of two."""

    def __init__(self) -> None:
        self.accounts: dict[str, dict[str, Any]] = {}
        self.balances: dict[str, list[tuple[date, Any]]] = {}
        self.bank_balances: dict[str, tuple[date, Any]] = {}
        self.flows: list[dict[str, Any]] = []
        self.transfers: list[dict[str, Any]] = []
        self.tasks = TaskDesk()
        self.repeating = False
        self.refused: dict[str, Reply] = {}
        """Account code -> how the tenant refuses its balances."""
        self.order = "updateDateTime"
        """What cash flows are sorted by, whatever is asked for; empty: as they were put."""
        self.by_id = False
        """Whether balances are asked for by the accounts' own ids only."""
        self.plain_balances = False
        """Whether cash balances leave their account to the address."""
        self.says_total = True
        self.twice = False
        """Whether every page holds its first record twice, beyond its limit and uncounted."""
        self.repeated: dict[str, Reply] = {}
        self.token = "t1"
        self.server = ScriptedServer(self.answer)

    def connection(self, **options: Any) -> Connection:
        """The tenant as a connection."""
        return Connection(
            name="kyriba", system="kyriba", region="EMEA", allow_private_addresses=True,
            options={
                "base_url": f"{self.server.url}/gateway/api", "auth_url": f"{self.server.url}/gateway/oauth/token",
                "page_size": 2, "balance_history_days": 20, **options,
            },
            secrets={"client_id": "env:KYRIBA_TEST_ID", "client_secret": "env:KYRIBA_TEST_SECRET"},
        )  # fmt: skip

    def answer(self, asked: Asked) -> Reply:
        """One answer; while repeating, the first answer of each resource comes again and again."""
        if asked.path == "/gateway/oauth/token":
            assert asked.headers["authorization"].startswith("Basic ")
            return reply_json({"access_token": self.token, "token_type": "bearer", "expires_in": 3600})
        if asked.headers.get("authorization") != f"Bearer {self.token}":
            return reply_json({"error": "invalid_token"}, 401)
        path = asked.path.removeprefix("/gateway/api/v1/")
        if not self.repeating:
            return self._fresh(path, asked)
        return self.repeated.setdefault(path.partition("/")[0], self._fresh(path, asked))

    def _fresh(self, path: str, asked: Asked) -> Reply:
        if path == "payment/transfers/status":
            return self._listing(self.transfers, asked)
        if path.startswith("process-templates/"):
            return self.tasks.answer(path.removeprefix("process-templates/"), asked)
        if "-balances/" in path:
            if self.by_id and not path.split("/")[2].startswith("u-"):
                return reply_json({"error": {"code": "NotFound", "message": "no such account"}}, 404)
            path = path.replace("/u-", "/")
        if path.startswith("bank-balances/") and unquote(path.split("/")[2]) not in self.refused:
            return self._bank_balance(unquote(path.split("/")[2]), asked)
        if path == "accounts":
            return self._listing(list(self.accounts.values()), asked)
        if path == "cash-flows":
            since = re.findall(r"updateDateTime=ge=(.+)", asked.query.get("filter", ""))
            rows = [flow for flow in self.flows if not since or flow["date"]["updateDateTime"] >= since[0]]
            in_order = sorted(rows, key=lambda flow: str(flow["date"]["updateDateTime"])) if self.order else rows
            return self._listing(in_order, asked)
        code = unquote(path.split("/")[2])
        if code in self.refused:
            return self.refused[code]
        start, end = date.fromisoformat(asked.query["startDate"]), date.fromisoformat(asked.query["endDate"])
        rows = [
            {"account": {"code": code}, "amount": amount, "date": str(day), "currencyCode": "EUR"}
            for day, amount in self.balances.get(code, ())
            if start <= day <= end
        ]
        if self.plain_balances:
            return reply_json({"cashBalance": [{name: row[name] for name in row if name != "account"} for row in rows]})
        return reply_json({"account": {"code": code}, "cashBalance": rows})

    def _bank_balance(self, code: str, asked: Asked) -> Reply:
        day, amount = self.bank_balances.get(code, (date.min, None))
        kind = "INTRADAY" if asked.query["date"] == f"{NOW.date()}" else "END_OF_DAY"
        if asked.query["date"] != str(day) or asked.query["type"] != kind:
            return reply_json({"error": {"code": "NotFound", "message": "no balance"}}, 404)
        told = {"amount": amount, "balanceDate": str(day), "currencyCode": "EUR"}
        return reply_json({"account": {"code": code, "uuid": f"u-{code}"}, "bankBalance": told})

    def _listing(self, rows: list[dict[str, Any]], asked: Asked) -> Reply:
        limit, offset = int(asked.query["page.limit"]), int(asked.query["page.offset"])
        page = rows[offset : offset + limit]
        page = page[:1] * self.twice + page
        told = {"numberOfTotalResults": len(rows), "pageLimit": limit, "pageOffset": offset, "pageResults": len(page), "links": {}}
        if not self.says_total:
            del told["numberOfTotalResults"]
            told["links"] = {"next": "?page.offset=..."} if offset + limit < len(rows) else {}
        return Reply(json.dumps({"metadata": told, "results": page}).encode())


def camt053(account: str, amount: str, at: datetime, day: str = "") -> bytes:
    """A statement of one entry."""
    day = day or str(at.date())
    return (
        '<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.04"><BkToCstmrStmt><GrpHdr><MsgId>M</MsgId></GrpHdr><Stmt>'
        f"<Id>S-{account}</Id><CreDtTm>{at:%Y-%m-%dT%H:%M:%S}Z</CreDtTm><Acct><Id><Othr><Id>{account}</Id></Othr></Id><Ccy>EUR</Ccy></Acct>"
        f'<Ntry><Amt Ccy="EUR">{amount}</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts>BOOK</Sts><BookgDt><Dt>{day}</Dt></BookgDt>'
        f"<ValDt><Dt>{day}</Dt></ValDt><AcctSvcrRef>E-{account}</AcctSvcrRef></Ntry></Stmt></BkToCstmrStmt></Document>"
    ).encode()
