"""The Kyriba adapter against the sandbox's process templates, transfers and both styles of address."""

from __future__ import annotations

import time
from contextlib import closing
from decimal import Decimal
from typing import Any

import pytest

from sandbox import Running
from sandbox.kyriba import tasks
from sync.connections import Connection
from sync.errors import DataError, TransientError
from sync.ports import Cursor, Page, Pending
from sync.systems.kyriba import make_source
from tests.contracts.suite_sandbox import LANDSCAPE, Dial, connection_to, module_box, renamed
from tests.contracts.suite_store import Store, pull

pytestmark = pytest.mark.xdist_group("kyriba-sandbox-tasks")
"""One worker: two would start the sandbox twice."""

TEMPLATES = ("E_BK_BAI2", "E_BK_CAMT053", "E_BK_MT940")
ENTITIES = ("US01", "JP01", "SG01", "MX01")


box = module_box(customers=20, history_days=60)


@pytest.fixture
def tenant(box: Running, monkeypatch: pytest.MonkeyPatch) -> Connection:
    """A tenant that is asked four times or so while it works off a task, in a quarter of the time that a person would see it take."""
    monkeypatch.setattr(tasks, "SECONDS", 0.25)
    options: dict[str, Any] = {"statement_templates": TEMPLATES, "task_poll_seconds": 0.05, "page_size": 20}
    tenant = connection_to(box, "kyriba", "kyriba", monkeypatch, "client_id", "client_secret", **options)
    return renamed(tenant.model_copy(update={"zone": "UTC"}))


def step(box: Running, tenant: Connection, cursor: Cursor | None, store: Store, refused: list[DataError]) -> Cursor | Pending | None:
    """One pull by a process of its own: the cursor after it, or the Pending that ended it."""
    with closing(make_source(tenant, LANDSCAPE)) as source:
        for item in source.pull("statements", cursor, now=box.world.now):
            if isinstance(item, Pending):
                return item
            try:
                store.take(source.map("statements", item))
            except DataError as error:
                refused.append(error)
            cursor = item.cursor or cursor
    return cursor


def to_the_end(box: Running, tenant: Connection, cursor: Cursor | None = None) -> tuple[Store, list[DataError], Cursor | None]:
    """A whole round, waiting as the clock would."""
    store, refused = Store(), list[DataError]()
    for _ in range(100):
        after = step(box, tenant, cursor, store, refused)
        if not isinstance(after, Pending):
            return store, refused, after
        cursor = after.cursor
        time.sleep(min(after.seconds, 0.5))
    raise AssertionError("the round does not end")


def booked(box: Running) -> dict[tuple[str, str], Decimal]:
    """(account, bank reference) -> amount of every line that the exported statements must hold."""
    from sandbox.kyriba.statements import DAYS
    from sandbox.world.reference import BANK_ACCOUNTS

    accounts = {code: each for code, each in BANK_ACCOUNTS.items() if each.entity in ENTITIES}
    closed = {code: set(box.world.closings[code]) for code in accounts}
    return {
        (account.number, line.reference): line.amount
        for code, account in accounts.items()
        for line in box.world.bank_lines[code]
        if line.booked in closed[code] and 0 < (box.world.now.date() - line.booked).days <= DAYS
    }


def test_statements_by_way_of_tasks_hold_what_the_banks_have_booked(box: Running, tenant: Connection) -> None:
    """BAI2, camt.053 and MT940, to the cent, each account under its company; a second round brings no file again."""
    store, refused, cursor = to_the_end(box, tenant)
    assert (refused, store.rejects) == ([], [])
    rows = store.live("bank_transaction").values()
    assert {(row["account"], row["amount"]) for row in rows} == {(account, amount) for (account, _), amount in booked(box).items()}
    assert len(rows) == len(booked(box)) > 3
    entities = {row["legal_entity"] for row in store.live("bank_account").values()}
    assert entities == set(ENTITIES)
    again, refused, _ = to_the_end(box, tenant, cursor)
    assert (again.rows, refused) == ({}, [])


def test_the_bai2_files_say_what_the_bank_has_booked(box: Running, tenant: Connection) -> None:
    """Every line with its sign, value date, references and text, and every day's closing balance; of US01's account and no other."""
    options = {**tenant.options, "statement_templates": ("E_BK_BAI2",)}
    only = tenant.model_copy(update={"options": options})
    store, refused, _ = to_the_end(box, only)
    assert (refused, store.rejects) == ([], [])
    assert {row["legal_entity"] for row in store.live("bank_account").values()} == {"US01"}
    world, account = box.world, "US01-USD"
    days = {row["as_of_date"] for row in store.live("bank_balance").values()}
    lines = {line.reference: line for line in world.bank_lines[account] if line.booked in days}
    rows = {row["entry_reference"]: row for row in store.live("bank_transaction").values()}
    assert {key: (row["amount"], row["value_date"], row["end_to_end_id"]) for key, row in rows.items()} == {
        key: (line.amount, line.value_date, line.end_to_end) for key, line in lines.items()
    }
    assert all((line.structured or line.remittance) in rows[key]["remittance"] for key, line in lines.items())
    closing = {r["as_of_date"]: r["amount"] for r in store.live("bank_balance").values() if r["balance_type"] == "closing_booked"}
    assert closing == {day: world.closings[account][day] for day in closing}
    assert len(closing) > 5
    assert rows


def test_no_account_is_told_of_by_treasury_and_by_the_drop_folder(box: Running, tenant: Connection) -> None:
    """The banks that leave files with bank-emea are left out of the exports: no figure may count twice."""
    from sandbox.world.reference import BANK_ACCOUNTS

    store, _, _ = to_the_end(box, tenant)
    dropped = {each.iban or each.number for each in BANK_ACCOUNTS.values() if each.camt is not None}
    assert dropped.isdisjoint(store.live("bank_account"))


@pytest.mark.parametrize("how", ["Error", "Cancelled"])
def test_a_task_that_fails_costs_its_own_template_only(box: Running, tenant: Connection, dial: Dial, how: str) -> None:
    """The first ends badly and is an exception with the tenant's words; the others deliver; the next round brings the first."""
    dial.fault("kyriba", "task_ends", how=how, times=1)
    store, refused, cursor = to_the_end(box, tenant)
    assert [error.cause for error in refused] == ["source_permanent"]
    assert refused[0].evidence["state"] == how.lower()
    assert {row["legal_entity"] for row in store.live("bank_account").values()} == set(ENTITIES) - {"US01"}
    rest, refused, _ = to_the_end(box, tenant, cursor)
    assert refused == []
    assert "US01" in {row["legal_entity"] for row in rest.live("bank_account").values()}


def test_a_slow_task_is_waited_for_without_holding_anything(box: Running, tenant: Connection, dial: Dial) -> None:
    """Every pull ends at once with the task in its cursor; the waits grow."""
    dial.fault("kyriba", "slow_task", takes=60, times=1)
    cursor: Cursor | None = None
    waits: list[float] = []
    for _ in range(4):
        pending = step(box, tenant, cursor, Store(), [])
        assert isinstance(pending, Pending)
        waits.append(pending.seconds)
        cursor = pending.cursor
    assert waits == sorted(set(waits))
    assert cursor is not None
    assert cursor["task"]["polls"] == 4


@pytest.mark.parametrize(
    ("kind", "how"), [("outage", {}), ("truncated", {"content_length": False}), ("html_login", {}), ("server_error", {})]
)
def test_a_wire_that_breaks_in_the_middle_of_a_task_loses_nothing(
    box: Running, tenant: Connection, dial: Dial, kind: str, how: dict[str, Any]
) -> None:
    """The task is still in the cursor: once the wire is whole its files are taken, and nothing is run anew."""
    pending = step(box, tenant, None, Store(), [])
    assert isinstance(pending, Pending)
    dial.fault("kyriba", kind, entity="process-templates", **how)
    with pytest.raises(TransientError):
        step(box, tenant, pending.cursor, Store(), [])
    dial.clear()
    store, refused, _ = to_the_end(box, renamed(tenant), pending.cursor)
    assert refused == []
    assert len(store.live("bank_transaction")) == len(booked(box))


def test_transfers_are_what_treasury_pays(box: Running, tenant: Connection) -> None:
    """Every firm payment of treasury's own, as much as its cash flow and from the same account; what has left is executed."""
    store = Store()
    with closing(make_source(tenant, LANDSCAPE)) as source:
        pull(source, "transfers", None, store, now=box.world.now)
    firm = [f for f in box.world.flows.values() if f.origin == "TREASURY" and f.amount < 0 and f.status != "ESTIMATED" and not f.deleted]
    rows = store.live("outgoing_payment").values()
    assert store.rejects == []
    assert sorted((row["bank_account"], row["amount"], row["due_date"]) for row in rows) == sorted(
        (f.account, -f.amount, f.value_date) for f in firm
    )
    assert sum(row["status"] == "executed" for row in rows) == sum(f.status == "ACTUAL" for f in firm) > 0


def test_bank_balances_are_the_banks_own(box: Running, tenant: Connection) -> None:
    """The closed days' end and today's standing of every account, to the cent."""
    store = Store()
    with closing(make_source(tenant, LANDSCAPE)) as source:
        pull(source, "bank_balances", None, store, now=box.world.now)
    assert store.rejects == []
    rows = list(store.live("bank_balance").values())
    for row in rows:
        if row["balance_type"] == "closing_booked":
            assert row["amount"] == box.world.closings[row["account"]][row["as_of_date"]]
            assert row["as_of_date"].weekday() < 5
    assert {row["account"]: row["amount"] for row in rows if row["balance_type"] == "intraday"} == {
        code: box.world.balance(code) for code in box.world.closings
    }


def test_accounts_with_their_details_are_the_same_accounts(box: Running, tenant: Connection) -> None:
    """Read by details or by the listing, an account is the same fact."""
    found = []
    for wanted in (False, True):
        store = Store()
        options = {**tenant.options, "account_details": wanted}
        with closing(make_source(tenant.model_copy(update={"options": options}), LANDSCAPE)) as source:
            pull(source, "accounts", None, store, now=box.world.now)
        found.append({key: (row["iban"], row["currency"], row["legal_entity"]) for key, row in store.live("bank_account").items()})
    assert found[0] == found[1]
    assert len(found[0]) == len(box.world.closings)


def test_the_other_style_of_address_is_the_same_tenant(box: Running, tenant: Connection) -> None:
    """The API at /api; the token's place follows from it."""
    origin = tenant.options["auth_url"].removesuffix("/gateway/oauth/token")
    options = {name: value for name, value in tenant.options.items() if name != "auth_url"} | {"base_url": f"{origin}/api"}
    store = Store()
    with closing(make_source(tenant.model_copy(update={"options": options}), LANDSCAPE)) as source:
        pull(source, "accounts", None, store, now=box.world.now)
        assert all(finding.ok for finding in source.probe(now=box.world.now))
    assert len(store.live("bank_account")) == len(box.world.closings)


def test_the_pages_of_a_task_are_files(box: Running, tenant: Connection) -> None:
    """Whole files by their names, then the end of each task, which alone says that the round is complete."""
    pages: list[Page] = []
    cursor: Cursor | None = None
    with closing(make_source(tenant, LANDSCAPE)) as source:
        for _ in range(60):
            waits = 0.0
            for item in source.pull("statements", cursor, now=box.world.now):
                cursor = item.cursor or cursor
                if isinstance(item, Pending):
                    waits = item.seconds
                else:
                    pages.append(item)
            if not waits:
                break
            time.sleep(min(waits, 0.5))
        stream = next(each for each in source.streams() if each.name == "statements")
    assert (stream.atomic, stream.capabilities.asynchronous) == (True, True)
    names = [str(page.name) for page in pages]
    assert [name.partition("_")[0] for name in names if "task" not in name] == sorted(
        name.partition("_")[0] for name in names if "task" not in name
    )
    assert [page.complete_until is not None for page in pages] == [False] * (len(pages) - 1) + [True]
