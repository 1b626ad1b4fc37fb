"""A worker dies in the middle of a listing, and the tenant goes back to what it was: what is held follows it all the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from sync.http_gate import _GATES
from sync.systems.kyriba import make_source
from tests.contracts.kyriba_tenant import LANDSCAPE, Tenant, account
from tests.contracts.suite import NOW
from tests.contracts.suite_store import Store, pull, pull_pages

DAY = (NOW - timedelta(days=1)).date()
CODES = ("A1", "A2", "A3")


@pytest.fixture
def tenant(monkeypatch: pytest.MonkeyPatch) -> Iterator[Tenant]:
    monkeypatch.setenv("KYRIBA_TEST_ID", "id")
    monkeypatch.setenv("KYRIBA_TEST_SECRET", "s3cret")
    _GATES.clear()
    made = Tenant()
    made.accounts = {code: account(code, number=code) for code in CODES}
    tell(made, "10.00")
    yield made
    made.server.close()


def tell(tenant: Tenant, amount: str) -> None:
    """Of the first account and the first transfer."""
    worth = {code: float(amount) if code == "A1" else 5.0 for code in CODES}
    tenant.balances = {code: [(DAY, worth[code])] for code in CODES}
    tenant.bank_balances = {code: (DAY, worth[code]) for code in CODES}
    tenant.transfers = [
        {"uuid": f"t-{code}", "status": "APPROVED", "amount": {"value": worth[code], "currency": {"code": "EUR"}}} for code in CODES
    ]


def held(store: Store, key: Callable[[str], bool]) -> list[Decimal]:
    return [row["amount"] for (_, name), row in store.rows.items() if key(name)]


@pytest.mark.parametrize("stream", ["balances", "bank_balances", "transfers"])
def test_what_came_back_after_a_restart_is_not_passed_over(stream: str, tenant: Tenant) -> None:
    """10 is read to the end, 12 by a worker that dies after its page, and then it is 10 again."""
    store, options = Store(), {"balance_reread_days": 1, "bank_balance_types": ("END_OF_DAY",)}

    def reading(run: Callable[[Any], Any]) -> Any:
        with closing(make_source(tenant.connection(**options), LANDSCAPE)) as source:
            return run(source)

    cursor = reading(lambda source: pull(source, stream, None, store, now=NOW).cursor)
    cursor = reading(lambda source: pull(source, stream, cursor, store, now=NOW).cursor)
    tell(tenant, "12.00")
    cursor = reading(lambda source: pull_pages(source, stream, cursor, store, now=NOW, pages=1))
    first = [name for _, name in store.rows if "A1" in name]
    assert held(store, lambda name: name in first) == [Decimal(12)]
    tell(tenant, "10.00")
    cursor = reading(lambda source: pull(source, stream, cursor, store, now=NOW).cursor)
    assert held(store, lambda name: name in first) == [Decimal(10)]
    again = reading(lambda source: pull(source, stream, cursor, store, now=NOW).pages)
    assert len(again) == 1
