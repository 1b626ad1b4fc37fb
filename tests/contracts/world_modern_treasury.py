"""An organisation at Modern Treasury that moves while it is read, written from the public API description alone.

Entries are booked, discarded and booked late; expected payments are made, reconciled in part and archived; orders and receipts change
their status; balances are told again. Lists are paged by a cursor that may be forgotten, in one of two orders.
"""

from __future__ import annotations

import itertools
import json
import random
from base64 import b64encode
from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from sync.connections import Landscape
from sync.errors import AuthError, SourceError
from sync.ports import Source
from sync.systems.modern_treasury import make_source
from tests.contracts.suite_server import Asked, Reply, ScriptedServer, reply_json
from tests.contracts.suite_store import Key
from tests.contracts.worlds import Past, connection_of
from tests.contracts.worlds_weather import PASSING, Weather, WorldClock

SECRETS = {"organization_id": "env:MT_TEST_ORG", "api_key": "env:MT_TEST_KEY"}
LISTS = ("internal_accounts", "transactions", "expected_payments", "payment_orders", "incoming_payment_details")
ENTITY = dict(zip(LISTS, ("bank_account", "bank_transaction", "forecast_item", "outgoing_payment", "payment"), strict=True))
PLACES = {"EUR": 2, "JPY": 0, "BHD": 3}
ORDERED = {"needs_approval": "requested", "approved": "approved", "processing": "approved", "sent": "executed", "completed": "executed",
           "denied": "rejected", "failed": "failed", "returned": "failed"}  # fmt: skip
RECEIVED = {"pending": "pending", "completed": "settled", "returned": "returned"}
KINDS = {"opening_ledger": "opening_booked", "closing_ledger": "closing_booked", "current_available": "available"}
WINDOW = {"transactions": 9, "payment_orders": 44, "incoming_payment_details": 44}
"""For so many days, by its day, a record may still change: the days that are read again, less one."""
Record = dict[str, Any]


class ModernTreasuryWorld:
    """See worlds.World; everything follows from `seed`."""

    sweeps: Sequence[timedelta] = (timedelta(hours=3),)
    standing: Collection[str] = ()
    streams: Sequence[str] = ("accounts", "balances", "transactions", "expected_payments", "payment_orders", "incoming_payments")
    parts = ("create", "change", "balance", "forget", "refuse", "late", "skew", "wire")

    def __init__(self, seed: int, without: Collection[str] = ()) -> None:
        self.dice = random.Random(f"modern treasury {seed}")
        self.without = without
        skew = self.dice.choice((0, 0, -600, 600, -45, 200)) * ("skew" not in without)
        self.clock = WorldClock(skew=timedelta(seconds=skew))
        faults = () if "wire" in without else PASSING
        self.weather = Weather(random.Random(f"weather {seed}"), self.clock, faults, rate=self.dice.choice((0, 0.05, 0.2)))
        self.name = f"world-mt-{seed}"
        self.budget = self.dice.choice((None, None, None, 200))
        self.newest_first = self.dice.random() < 0.7
        self.page = self.dice.choice((1, 3, 100))
        self.options = {"page_size": self.dice.choice((2, 5, 100))}
        self.past = Past()
        self.lists: dict[str, dict[str, Record]] = {name: {} for name in LISTS}
        self.reports: dict[tuple[str, str, str], Record] = {}
        self.late: list[tuple[datetime, str, Record]] = []
        self.cursors: dict[str, Any] = {}
        self.refusing: datetime | None = None
        self.gave_cause = False
        self._numbers = itertools.count(1)
        self.server = ScriptedServer(self._answer)
        self.server.between = self.weather.between
        for _ in range(2):
            self._create("internal_accounts", 30_000, 0)
        for name in LISTS[1:]:
            for _ in range(self.dice.choice((0, 3, 12))):
                self._create(name, self.dice.randrange(1, 12_000), 0)

    # what a life asks of it

    def source(self) -> Source:
        return make_source(connection_of(self, "modern_treasury", self.options, SECRETS), Landscape())

    def moves(self) -> None:
        """One thing happens."""
        self._arrive()
        kind = self.dice.choices(("create", "change", "balance", "forget", "refuse"), (6, 8, 4, 1, 0.4))[0]
        name = self.dice.choice((*LISTS, *LISTS[1:]))
        late = self.dice.choice((0, 0, 0, 2, 40, 500)) * ("late" not in self.without)
        if kind in self.without:
            return
        if kind == "create":
            for _ in range(self.dice.choice((1, 1, 2, 9))):
                self._create(name, 0, late)
        elif kind == "change":
            free = [one for one in self.lists[name].values() if self._may_change(name, one)]
            for record in self.dice.sample(free, min(self.dice.choice((1, 2, 9)), len(free))):
                self._commit(name, {**record, **self._values(name, record), "updated_at": self.clock.theirs}, late)
        elif kind == "balance":
            self._report()
        elif kind == "forget":
            self.cursors.clear()
        elif self.refusing is None:
            self.refusing = self.clock.now + timedelta(minutes=self.dice.choice((1, 20, 300)))

    def calms(self) -> None:
        self.refusing = None
        for moment, _, _ in self.late:
            self.clock.now = max(self.clock.now, moment)
        self._arrive()

    def may_stop(self, error: SourceError) -> bool:
        return isinstance(error, AuthError) and self.gave_cause

    def was(self, key: Key, row: Mapping[str, Any]) -> str | None:
        return self.past.was(key, row)

    def soon(self) -> dict[Key, dict[str, Any]]:
        return self.truth()

    def truth(self) -> dict[Key, dict[str, Any]]:
        found = {
            (ENTITY[name], key): state for name in LISTS for key, one in self.lists[name].items() if (state := self._canonical(name, one))
        }
        for report in self.reports.values():
            found |= self._balances(report)
        return found

    # records

    def _create(self, name: str, minutes_ago: int, late: int) -> None:
        at = self.clock.theirs - timedelta(minutes=minutes_ago)
        record: Record = {"id": f"{self.dice.randrange(16**8):08x}-{next(self._numbers):04d}", "created_at": at, "updated_at": at}
        record |= {"currency": self.dice.choice(list(PLACES)), "direction": self.dice.choice(("credit", "credit", "debit"))}
        record |= {"day": at.date() - timedelta(days=self.dice.choice((0, 0, 1, 5)))}
        record["account"] = self.dice.choice(list(self.lists["internal_accounts"]) or ["none"])
        self._commit(name, {**record, **self._values(name, record)}, late)

    def _values(self, name: str, record: Record) -> Record:
        pick = self.dice.choice
        if name == "internal_accounts":
            stays = len(self.lists[name]) < 2 or record["id"] in list(self.lists[name])[:2]
            return {"name": f"Account {self.dice.randrange(999)}", "status": pick(("active", "active", "active" if stays else "closed"))}
        if name == "transactions":
            return {"amount": record.get("amount", self.dice.randrange(10**pick((1, 6, 15)))), "discarded": pick((False, False, True)),
                    "text": f"text {self.dice.randrange(999)}"}  # fmt: skip
        if name == "expected_payments":
            lower = self.dice.randrange(10**8)
            upper = lower + pick((0, self.dice.randrange(10**6)))
            part = self.dice.randrange(lower + 1)
            return {"lower": lower, "upper": upper, "status": pick(("unreconciled", "partially_reconciled", "reconciled", "archived")),
                    "reconciled": part, "unreconciled": lower - part}  # fmt: skip
        statuses = ORDERED if name == "payment_orders" else RECEIVED
        return {
            "amount": record.get("amount", self.dice.randrange(10**8)),
            "status": pick(list(statuses)),
            "party": f"P {self.dice.randrange(99)}",
        }

    def _may_change(self, name: str, record: Record) -> bool:
        if any(waiting["id"] == record["id"] for _, _, waiting in self.late):
            return False
        day = record["created_at"].date() if name == "payment_orders" else record["day"]
        return name not in WINDOW or day >= self.clock.theirs.date() - timedelta(days=WINDOW[name] - 1)

    def _report(self) -> None:
        account = self.dice.choice(list(self.lists["internal_accounts"].values())[:2])
        day = self.clock.theirs.date() - timedelta(days=self.dice.choice((0, 1, 2)))
        kind = self.dice.choice(("previous_day", "intraday"))
        told = {
            kind: self.dice.randrange(-(10**8), 10**10)
            for kind in (("opening_ledger", "closing_ledger") if kind == "previous_day" else ("current_available",))
        }
        at = self.clock.theirs
        key = (account["id"], day.isoformat(), kind)
        created = self.reports[key]["created_at"] if key in self.reports else at
        report = {"account": account["id"], "currency": account["currency"], "day": day, "kind": kind, "told": told, "updated_at": at,
                  "created_at": created, "id": "-".join(key)}  # fmt: skip
        self.reports[key] = report
        for row_key, state in self._balances(report).items():
            self.past.note(row_key, state)

    def _commit(self, name: str, record: Record, late: int) -> None:
        if late:
            self.late.append((self.clock.now + timedelta(seconds=late), name, record))
            return
        self.lists[name][record["id"]] = record
        state = self._canonical(name, record)
        if state:
            self.past.note((ENTITY[name], record["id"]), state)

    def _arrive(self) -> None:
        due = [entry for entry in self.late if entry[0] <= self.clock.now]
        self.late = [entry for entry in self.late if entry[0] > self.clock.now]
        for _, name, record in due:
            self._commit(name, record, 0)

    def _canonical(self, name: str, record: Record) -> dict[str, Any]:
        """The columns that this world vouches for; none for what is no record of ours."""
        row: dict[str, Any] = {"source_version": _millis(record["updated_at"]), "is_deleted": False, "currency": record["currency"]}
        if name == "internal_accounts":
            return row | {"name": record["name"], "is_deleted": record["status"] == "closed"}
        comes = record["direction"] == "credit"
        row["account" if name in ("transactions", "expected_payments") else "bank_account"] = record["account"]
        if name == "transactions":
            amount = self._worth(record["amount"] if comes else -record["amount"], record["currency"])
            return row | {"amount": amount, "booking_date": record["day"], "is_deleted": record["discarded"], "remittance": record["text"]}
        if name == "expected_payments":
            careful = record["lower" if comes else "upper"]
            parts = {"reconciled": "reconciled", "partially_reconciled": "unreconciled"}
            minor = record[parts[record["status"]]] if record["status"] in parts else careful
            return row | {
                "amount": self._worth(minor if comes else -minor, record["currency"]),
                "is_deleted": record["status"] == "archived",
            }
        if not comes:
            return {}
        statuses = ORDERED if name == "payment_orders" else RECEIVED
        return row | {"amount": self._worth(record["amount"], record["currency"]), "status": statuses[record["status"]]}

    def _balances(self, report: Record) -> dict[Key, dict[str, Any]]:
        return {
            ("bank_balance", f"{report['account']}|{report['day']}|{kind}"): {
                "source_version": _millis(report["updated_at"]), "amount": self._worth(minor, report["currency"]), "is_deleted": False,
                "currency": report["currency"], "balance_type": KINDS[kind], "as_of_date": report["day"],
            }
            for kind, minor in report["told"].items()
        }  # fmt: skip

    def _worth(self, minor: int, currency: str) -> Decimal:
        return Decimal(minor).scaleb(-PLACES[currency])

    # the wire

    def _answer(self, asked: Asked) -> Reply:
        self._arrive()
        if self.refusing is not None and self.clock.now > self.refusing:
            self.refusing = None
        if asked.headers.get("authorization") != f"Basic {b64encode(b'org:not told').decode()}":
            raise AssertionError(asked.headers)
        if self.refusing is not None:
            self.gave_cause = True
            return _refusal(401, "invalid_key", "The API key is not valid")
        parts = asked.path.strip("/").split("/")
        if parts[0] != "api":
            raise AssertionError(asked.path)
        query = dict(asked.query)
        size = min(int(query.pop("per_page", 25)), self.page)
        after = query.pop("after_cursor", None)
        if parts[-1] == "balance_reports":
            rows = [one for (account, day, _), one in self.reports.items() if account == parts[2] and query.get("as_of_date", day) == day]
        else:
            rows = self._rows(parts[1], query)
        rows.sort(key=lambda one: (one["created_at"], one["id"]), reverse=self.newest_first)
        if after is not None:
            place = self.cursors.get(after)
            if place is None:
                return _refusal(422, "parameter_invalid", "after_cursor is not known", "after_cursor")
            rows = [
                one
                for one in rows
                if ((one["created_at"], one["id"]) < place) is self.newest_first and (one["created_at"], one["id"]) != place
            ]
        headers = {"X-Per-Page": str(size)}
        if len(rows) > size:
            cursor = f"c{next(self._numbers)}"
            self.cursors[cursor] = (rows[size - 1]["created_at"], rows[size - 1]["id"])
            headers["X-After-Cursor"] = cursor
        elif self.dice.random() < 0.3:
            headers["X-After-Cursor"] = ""
        return Reply(json.dumps([self._shown(parts[-1], one) for one in rows[:size]]).encode(), headers=headers)

    def _rows(self, name: str, query: dict[str, str]) -> list[Record]:
        rows = list(self.lists[name].values())
        for filtered, told in query.items():
            if filtered == "posted" and name == "transactions":
                continue
            if filtered == "as_of_date_start" and name in ("transactions", "incoming_payment_details"):
                rows = [one for one in rows if one["day"] >= date.fromisoformat(told)]
            elif filtered == "created_at_start" and name == "payment_orders":
                rows = [one for one in rows if one["created_at"].date() >= date.fromisoformat(told)]
            elif filtered == "updated_at_lower_bound" and name == "expected_payments":
                rows = [one for one in rows if one["updated_at"] >= datetime.fromisoformat(told)]
            else:
                raise AssertionError(f"{name} can't be asked by {filtered}")
        return rows

    def _shown(self, name: str, record: Record) -> Record:
        if name == "balance_reports":
            return self._shown_report(record)
        row: Record = {
            "id": record["id"],
            "object": name.removesuffix("s"),
            "live_mode": True,
            "currency": record["currency"],
            "metadata": {},
        }
        row |= {"created_at": _stamp(record["created_at"]), "updated_at": _stamp(record["updated_at"])}
        day = record["day"].isoformat()
        if name == "internal_accounts":
            return row | {
                "name": record["name"],
                "party_name": "Meridian",
                "status": record["status"],
                "account_details": [],
                "connection": {},
            }
        row |= {"direction": record["direction"], "internal_account_id": record["account"]}
        if name == "transactions":
            discarded = row["updated_at"] if record["discarded"] else None
            return row | {"amount": record["amount"], "amount_string": str(record["amount"]), "as_of_date": day, "posted": True,
                          "discarded_at": discarded, "vendor_description": record["text"], "vendor_code": None, "vendor_code_type": None,
                          "vendor_id": None, "vendor_customer_id": None, "details": {}}  # fmt: skip
        if name == "expected_payments":
            return row | {"amount_lower_bound": record["lower"], "amount_upper_bound": record["upper"], "status": record["status"],
                          "amount_reconciled": record["reconciled"], "amount_unreconciled": record["unreconciled"], "type": None,
                          "date_lower_bound": day, "date_upper_bound": day, "external_id": None}  # fmt: skip
        row |= {"amount": record["amount"], "status": record["status"]}
        if name == "payment_orders":
            return row | {"originating_account_id": record["account"], "effective_date": day, "receiving_account": {"party_name": record["party"]},
                          "ultimate_receiving_party_name": None, "counterparty_id": None}  # fmt: skip
        return row | {"as_of_date": day, "originating_party_name": record["party"], "type": "ach"}

    def _shown_report(self, report: Record) -> Record:
        """As the list gives it."""
        at, day = _stamp(report["updated_at"]), report["day"].isoformat()
        balances = [
            {"id": f"{report['id']}-{kind}", "object": "balance", "live_mode": True, "created_at": at, "updated_at": at, "amount": minor,
             "amount_string": str(minor), "currency": report["currency"], "balance_type": kind, "vendor_code": "x", "vendor_code_type": "bai2",
             "as_of_date": day, "value_date": None}
            for kind, minor in report["told"].items()
        ]  # fmt: skip
        return {"id": report["id"], "object": "balance_report", "live_mode": True, "created_at": _stamp(report["created_at"]), "updated_at": at,
                "balance_report_type": report["kind"], "as_of_date": day, "as_of_time": None, "balances": balances,
                "internal_account_id": report["account"]}  # fmt: skip


def _refusal(status: int, code: str, message: str, parameter: str | None = None) -> Reply:
    return reply_json({"errors": {"code": code, "message": message, **({"parameter": parameter} if parameter else {})}}, status)


def _stamp(at: datetime) -> str:
    return f"{at.replace(microsecond=0):%Y-%m-%dT%H:%M:%SZ}"


def _millis(at: datetime) -> int:
    return int(at.replace(microsecond=0).timestamp() * 1000)
