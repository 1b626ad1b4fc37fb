"""The Kyriba adapter against the sandbox's tenant, with its faults."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from typing import Any

import pytest

from sandbox import Running
from sync.connections import Connection
from sync.errors import PermanentError
from sync.ports import Probing, Source
from sync.systems.kyriba import make_source, make_target
from tests.contracts.suite_forecasts import ForecastSuite, Publishing
from tests.contracts.suite_sandbox import DISORDER, LANDSCAPE, Dial, PagedSandboxSuite, Reading, connection_to, module_box, renamed
from tests.contracts.suite_store import Store, pull

pytestmark = pytest.mark.xdist_group("kyriba-sandbox")
"""One worker: two would start the sandbox twice."""

STREAM = "cash_flows"


box = module_box(customers=20, history_days=90)


@pytest.fixture
def tenant(box: Running, monkeypatch: pytest.MonkeyPatch) -> Connection:
    tenant = connection_to(box, "kyriba", "kyriba", monkeypatch, "client_id", "client_secret", page_size=20, balance_history_days=60)
    return renamed(tenant)


@pytest.fixture
def source(tenant: Connection) -> Iterator[Source]:
    source = make_source(tenant, LANDSCAPE)
    yield source
    source.close()


@pytest.fixture
def reading(box: Running, tenant: Connection) -> Reading:
    return Reading(
        box, "kyriba", "cash-flows", STREAM, lambda: make_source(renamed(tenant), LANDSCAPE), truth=lambda: _true(box), held=_held
    )


@pytest.fixture
def publishing(reading: Reading, tenant: Connection) -> Publishing:
    return Publishing(
        reading, lambda: make_target(tenant, LANDSCAPE), terms={"company": "DE01", "currency": "EUR"}, account="DE01-EUR",
        secret=tenant.secrets["client_secret"].removeprefix("env:"), refusal="invalid_client",
    )  # fmt: skip


def _true(box: Running) -> dict[str, Decimal]:
    return {flow.uuid: flow.amount for flow in box.world.flows.values() if not flow.deleted}


def _held(store: Store) -> dict[str, Decimal]:
    return {key: row["amount"] for key, row in store.live("forecast_item").items()}


def test_every_stream_holds_what_the_tenant_holds(box: Running, source: Source) -> None:
    """Accounts, closing balances and cash flows arrive whole, none rejected, amounts to the cent and never through a float."""
    store = Store()
    for stream in source.streams():
        pull(source, stream.name, None, store, now=box.world.now)
    assert store.rejects == []
    assert _held(store) == _true(box)
    balances = {(row["account"], row["as_of_date"]): row for row in store.live("bank_balance").values()}
    for code, closings in box.world.closings.items():
        for day, amount in closings.items():
            if (box.world.now.date() - day).days <= 60:
                assert balances[code, day]["amount"] == amount
    regions = {entity.code: entity.region for entity in LANDSCAPE.legal_entities}
    assert len(store.live("bank_account")) == len(box.world.closings)
    assert all(row["region"] == regions[row["legal_entity"]] for row in store.live("bank_account").values())


def test_a_token_that_expires_between_pages_costs_one_login(box: Running, source: Source, dial: Dial) -> None:
    """One login more, the same page again."""
    dial.fault("kyriba", "expired_token", times=1)
    store = Store()
    pull(source, STREAM, None, store, now=box.world.now)
    assert _held(store) == _true(box)


class TestReading(PagedSandboxSuite):
    @pytest.fixture(params=[*DISORDER, ("repeated_page", {})], ids=lambda param: param[0])
    def disorder(self, request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
        """A next link that names the page itself is harmless too."""
        disorder: tuple[str, dict[str, Any]] = request.param
        return disorder


class TestPublishing(ForecastSuite):
    pass


@pytest.mark.parametrize(
    ("how", "causes"),
    [("bad_amount", {"bad_amount"}), ("bad_currency", {"bad_currency"}), ("bad_date", {"bad_time"}), ("missing_key", {"missing_field"}),
     ("unknown_customer", {"bad_value"})],
)  # fmt: skip
def test_a_broken_flow_costs_only_itself(box: Running, source: Source, dial: Dial, how: str, causes: set[str]) -> None:
    """A flow that somebody broke is rejected with its cause, and every other lands."""
    key = next(iter(_true(box)))
    dial.act("break_record", system="kyriba", entity="cash-flows", key=key, how=how)
    store = Store()
    pull(source, STREAM, None, store, now=box.world.now)
    dial.act("fix_record", system="kyriba", entity="cash-flows", key=key)
    assert {reject["cause"] for reject in store.rejects} == causes
    assert set(_held(store)) == set(_true(box)) - {key}


def test_a_company_without_an_account_in_the_currency_is_said(publishing: Publishing) -> None:
    """No account fits: a permanent error that says what to do."""
    with closing(publishing.target()) as target, pytest.raises(PermanentError, match="no account of GB01 in JPY"):
        target.apply(publishing.order("nowhere", company="GB01", currency="JPY"))


def test_the_probe_finds_all_well(box: Running, source: Source) -> None:
    """Addresses, credentials, clocks, and a first page of every stream."""
    assert isinstance(source, Probing)
    findings = list(source.probe(now=box.world.now))
    assert all(finding.ok for finding in findings), findings
    streams = [f"{stream.name} first page" for stream in source.streams()]
    assert [finding.what for finding in findings] == ["address", "credentials", "clock", *streams]
    assert "one host" in findings[0].words
