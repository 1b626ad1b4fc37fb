"""The Kyriba adapter against the sandbox's tenant, with its faults."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

import sandbox
from sandbox import Running
from sync.connections import Connection
from sync.errors import AuthError, PermanentError, QuotaError, SourceError, TransientError, UnknownOutcome
from sync.ports import Cursor, Order, Probing, Source
from sync.systems.kyriba import make_source, make_target
from tests.contracts.suite_sandbox import LANDSCAPE, Dial, connection_to
from tests.contracts.suite_store import Store, pages_of, pull

pytestmark = pytest.mark.xdist_group("kyriba-sandbox")
"""One worker: two would start the sandbox twice."""

OPENED = datetime(2026, 11, 23, 6, 30, tzinfo=UTC)
"""The world is the same on every day that the tests run."""

STREAM = "cash_flows"
_NUMBER = itertools.count(1)


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with sandbox.running(tmp_path_factory.mktemp("sandbox"), customers=20, history_days=90, start_at=OPENED) as running:
        yield running


@pytest.fixture
def tenant(box: Running, monkeypatch: pytest.MonkeyPatch) -> Connection:
    tenant = connection_to(box, "kyriba", "kyriba", monkeypatch, "client_id", "client_secret", page_size=20, balance_history_days=60)
    return tenant.model_copy(update={"name": f"kyriba-{next(_NUMBER)}"})


@pytest.fixture
def source(tenant: Connection) -> Iterator[Source]:
    source = make_source(tenant, LANDSCAPE)
    yield source
    source.close()


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


@pytest.mark.parametrize(
    ("kind", "how", "error"),
    [
        ("outage", {}, TransientError),
        ("rate_limit", {"retry_after": 7}, QuotaError),
        ("server_error", {}, TransientError),
        ("truncated", {}, TransientError),
        ("truncated", {"content_length": False}, TransientError),
        ("html_login", {}, TransientError),
    ],
)
def test_a_fault_is_an_error_of_its_type_and_loses_nothing(
    box: Running, tenant: Connection, source: Source, dial: Dial, kind: str, how: dict[str, Any], error: type[SourceError]
) -> None:
    """The type says what to do, and the next pull from the committed cursor finds the rest."""
    committed: Cursor | None = None
    store = Store()
    pages = pages_of(source, STREAM, None, now=box.world.now)
    first = next(pages)
    store.take(source.map(STREAM, first))
    committed = first.cursor
    dial.fault("kyriba", kind, entity="cash-flows", **how)
    with pytest.raises(error):
        for page in pages:
            store.take(source.map(STREAM, page))
            committed = page.cursor or committed
    dial.clear()
    later = make_source(tenant.model_copy(update={"name": f"{tenant.name}-later"}), LANDSCAPE)
    pull(later, STREAM, committed, store, now=box.world.now)
    later.close()
    assert _held(store) == _true(box)


@pytest.mark.parametrize("kind", ["duplicate_records", "out_of_order", "repeated_page"])
def test_duplicates_disorder_and_links_to_itself_change_nothing(box: Running, source: Source, dial: Dial, kind: str) -> None:
    """A record twice, a page in reverse, a next link that names the page itself: the facts are the same."""
    dial.fault("kyriba", kind, entity="cash-flows")
    store = Store()
    pull(source, STREAM, None, store, now=box.world.now)
    assert _held(store) == _true(box)


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


def _order(name: str, **payload: Any) -> Order:
    told = {
        "amount": "1234567.89",
        "currency": "EUR",
        "expected_date": "2027-01-15",
        "description": "Contract C-1",
        "company": "DE01",
        **payload,
    }
    return Order(f"forecast:{name}", "publish_forecast", name, told)


def test_a_forecast_is_published_once_and_comes_back_as_ours(box: Running, tenant: Connection, source: Source, dial: Dial) -> None:
    """Applied, then already there: one write in the tenant's log, to the cent; the echo carries our reference."""
    target = make_target(tenant, LANDSCAPE)
    before = len(dial.writes("kyriba"))
    order = _order("once")
    assert target.read(order).outcome == "absent"
    made = target.apply(order)
    assert made.outcome == "applied"
    assert target.apply(order).outcome == "already"
    assert len(dial.writes("kyriba")) == before + 1
    target.close()
    store = Store()
    pull(source, STREAM, None, store, now=box.world.now)
    echo = store.live("forecast_item")[str(made.reference)]
    assert echo["reference"].startswith("TG-")
    assert (echo["amount"], echo["currency"], echo["account"]) == (Decimal("1234567.89"), "EUR", "DE01-EUR")


def test_a_lost_answer_is_unknown_and_reading_tells(box: Running, tenant: Connection, dial: Dial) -> None:
    """Executed, but the answer never came: unknown; the reference shows that it is there, so it is not posted again."""
    target = make_target(tenant, LANDSCAPE)
    order = _order("lost")
    before = len(dial.writes("kyriba"))
    dial.fault("kyriba", "drop_response_after_execute", times=1)
    with pytest.raises(UnknownOutcome):
        target.apply(order)
    assert target.read(order).outcome == "already"
    assert target.apply(replace(order, attempt=2)).outcome == "already"
    assert len(dial.writes("kyriba")) == before + 1
    target.close()


def test_a_flow_that_treasury_changed_differs(box: Running, tenant: Connection) -> None:
    """The same reference with another amount: the world moved on, and nothing is written over it."""
    target = make_target(tenant, LANDSCAPE)
    target.apply(_order("changed"))
    assert target.read(_order("changed", amount="5")).outcome == "differs"
    assert target.apply(_order("changed", amount="5")).outcome == "differs"
    target.close()


def test_a_company_without_an_account_in_the_currency_is_said(box: Running, tenant: Connection) -> None:
    """No account fits: a permanent error that says what to do."""
    target = make_target(tenant, LANDSCAPE)
    with pytest.raises(PermanentError, match="no account of GB01 in JPY"):
        target.apply(_order("nowhere", company="GB01", currency="JPY"))
    target.close()


def test_wrong_credentials_are_said_in_words(box: Running, tenant: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tenant refuses the login: an error about credentials that holds no secret."""
    monkeypatch.setenv(tenant.secrets["client_secret"].removeprefix("env:"), "wr0ng-secret")
    source = make_source(tenant, LANDSCAPE)
    with pytest.raises(AuthError, match="invalid_client") as refused:
        pull(source, STREAM, None, Store(), now=box.world.now)
    assert "wr0ng-secret" not in repr(refused.value) + repr(source)
    source.close()


def test_the_probe_finds_all_well(box: Running, source: Source) -> None:
    """Addresses, credentials, clocks, and a first page of every stream."""
    assert isinstance(source, Probing)
    findings = list(source.probe(now=box.world.now))
    assert all(finding.ok for finding in findings), findings
    streams = [f"{stream.name} first page" for stream in source.streams()]
    assert [finding.what for finding in findings] == ["address", "credentials", "clock", *streams]
    assert "one host" in findings[0].words
