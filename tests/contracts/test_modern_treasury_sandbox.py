"""The Modern Treasury adapter against the sandbox's organisation, with its faults; every request it sends is held to the description."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from sandbox import Running
from sandbox.modern_treasury import objects, spec
from sandbox.world import operating
from sync.connections import Connection
from sync.errors import AuthError, PermanentError, TransientError
from sync.ports import Probing, Source
from sync.systems.modern_treasury import make_source, make_target
from tests.contracts.suite_forecasts import ForecastSuite, Publishing, new
from tests.contracts.suite_openapi import Description
from tests.contracts.suite_sandbox import (
    FAULTS,
    LANDSCAPE,
    Dial,
    Fault,
    PagedSandboxSuite,
    Reading,
    connection_to,
    module_box,
    renamed,
)
from tests.contracts.suite_store import Store, pull

pytestmark = pytest.mark.xdist_group("modern-treasury-sandbox")
"""One worker: two would start the sandbox twice."""

SYSTEM = "modern-treasury"
STREAM = "expected_payments"
DESCRIPTION = Description(spec.spec())


box = module_box(customers=6, history_days=30)


@pytest.fixture
def organisation(box: Running, monkeypatch: pytest.MonkeyPatch) -> Connection:
    told = connection_to(box, SYSTEM, "modern_treasury", monkeypatch, "organization_id", "api_key", page_size=20)
    return renamed(told.model_copy(update={"region": "NA", "legal_entities": ("US01",)}))


@pytest.fixture
def source(organisation: Connection) -> Iterator[Source]:
    source = make_source(organisation, LANDSCAPE)
    yield source
    source.close()


@pytest.fixture
def reading(box: Running, organisation: Connection) -> Reading:
    return Reading(
        box, SYSTEM, STREAM, STREAM, lambda: make_source(renamed(organisation), LANDSCAPE), truth=lambda: _expected(box), held=_held
    )


@pytest.fixture
def publishing(reading: Reading, organisation: Connection) -> Publishing:
    return Publishing(
        reading, lambda: make_target(organisation, LANDSCAPE), terms={"company": "US01", "currency": "USD"}, account=objects.ACCOUNT_ID,
        secret=organisation.secrets["api_key"].removeprefix("env:"), refusal="invalid_key",
    )  # fmt: skip


@pytest.fixture(autouse=True)
def _described(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every request that leaves for the organisation is one that its description knows."""
    send = httpx.Client.send

    def checked(client: httpx.Client, request: httpx.Request, **how: Any) -> httpx.Response:
        if request.url.path.startswith("/api/"):
            query = dict(parse_qsl(urlsplit(str(request.url)).query))
            body = json.loads(request.content) if request.content else None
            DESCRIPTION.request(
                request.method, request.url.path, query, {name.lower(): value for name, value in request.headers.items()}, body
            )
        return send(client, request, **how)

    monkeypatch.setattr(httpx.Client, "send", checked)


def _expected(box: Running) -> dict[str, Decimal]:
    """What the organisation expects or got, by its own book: the careful amount of what is open, the real one of what came."""
    found = {}
    for one in objects.expected_payments(box.world):
        lower, came = one["amount_lower_bound"], one["amount_reconciled"]
        if one["status"] != "archived":
            sign = -1 if one["direction"] == "debit" else 1
            found[str(one["id"])] = sign * Decimal(lower if came is None else came).scaleb(-2)
    return found


def _held(store: Store) -> dict[str, Decimal]:
    return {key: row["amount"] for key, row in store.live("forecast_item").items()}


def test_every_stream_holds_what_the_organisation_holds(box: Running, source: Source) -> None:
    """Account, balances, posted transactions, expectations, orders and incoming payments arrive whole, none rejected, to the cent."""
    store = Store()
    for stream in source.streams():
        pull(source, stream.name, None, store, now=box.world.now)
    assert store.rejects == []
    assert _held(store) == _expected(box)
    booked = {objects.transaction_id(one): one.amount for one in operating.booked(box.world)}
    assert {key: row["amount"] for key, row in store.live("bank_transaction").items()} == booked
    closings = {(row["as_of_date"], row["balance_type"]): row["amount"] for row in store.live("bank_balance").values()}
    for day, balances in operating.closings(box.world).items():
        if (day, "closing_booked") in closings:
            assert (closings[day, "opening_booked"], closings[day, "closing_booked"]) == balances
    assert len(closings) > 200
    assert {(row["legal_entity"], row["region"], row["bank"]) for row in store.live("bank_account").values()} == {
        ("US01", "NA", "First Lakes Bank")
    }
    runs = [one for one in operating.movements(box.world) if one.key.startswith("run") and one.planned_at <= box.world.now]
    assert sorted(row["amount"] for row in store.live("outgoing_payment").values()) == sorted(-one.amount for one in runs)
    assert len(store.live("payment")) == sum(
        1 for one in operating.movements(box.world) if one.key.startswith("card") and one.seen_at <= box.world.now
    )


def test_the_account_is_reported_by_this_platform_alone(box: Running, source: Source) -> None:
    """Neither Kyriba nor a bank's files know the account: no balance is counted twice."""
    store = Store()
    pull(source, "accounts", None, store, now=box.world.now)
    assert operating.ACCOUNT.code not in box.world.closings
    assert {row["other_id"] for row in store.live("bank_account").values()} == {operating.ACCOUNT.number}


class TestReading(PagedSandboxSuite):
    @pytest.fixture(params=[*FAULTS, Fault("expired_token", AuthError), Fault("repeated_page", TransientError)], ids=str)
    def fault(self, request: pytest.FixtureRequest) -> Fault:
        """There is no token that could be renewed, and a page that names itself would never end."""
        fault: Fault = request.param
        return fault


class TestPublishing(ForecastSuite):
    pass


def test_a_field_that_changes_its_kind_is_drift(box: Running, source: Source, dial: Dial) -> None:
    """Records whose status has become an object are quarantined for that cause; a new field is nothing."""
    dial.fault(SYSTEM, "schema_drift", entity=STREAM, change="retype", times=1)
    store = Store()
    pull(source, STREAM, None, store, now=box.world.now)
    assert {reject["cause"] for reject in store.rejects} == {"schema_drift"}
    dial.fault(SYSTEM, "schema_drift", entity=STREAM, change="add")
    again = Store()
    pull(source, STREAM, None, again, now=box.world.now)
    assert (_held(again), again.rejects) == (_expected(box), [])


def test_a_late_commit_is_found(box: Running, publishing: Publishing, source: Source, dial: Dial) -> None:
    """What was hidden while we read, and appears with its old stamp, is found by the look-back."""
    dial.fault(SYSTEM, "late_commit", entity=STREAM)
    dial.advance(seconds=2)  # stamps have whole seconds
    store = Store()
    with closing(publishing.target()) as target:
        made = target.apply(publishing.order(new("late")))
    hidden = pull(source, STREAM, None, store, now=box.world.now)
    assert str(made.reference) not in _held(store)
    dial.clear()
    pull(source, STREAM, hidden.cursor, store, now=box.world.now + timedelta(minutes=1))
    assert _held(store) == _expected(box)


@pytest.mark.parametrize(
    ("payload", "words"),
    [({"currency": "JPY", "amount": "5"}, "no account of US01 in JPY"), ({"amount": "1.005"}, "no whole number"), ({"amount": "NaN"}, "no whole number"),
     ({"amount": "much"}, "no whole number"), ({"currency": "XXQ"}, "no whole number"), ({"expected_date": "soon"}, "is none"),
     ({"account": objects.VENDOR_ID}, "no such internal account")],
)  # fmt: skip
def test_what_can_not_be_published_is_said(publishing: Publishing, payload: dict[str, Any], words: str) -> None:
    """A permanent error that says what is wrong; nothing is written."""
    with closing(publishing.target()) as target, pytest.raises(PermanentError, match=words):
        target.apply(publishing.order("never", **payload))


def test_the_probe_finds_all_well(box: Running, source: Source) -> None:
    """Credentials, clock and a first page of every stream."""
    assert isinstance(source, Probing)
    findings = list(source.probe(now=box.world.now))
    assert all(finding.ok for finding in findings), findings
    assert len(findings) == 9
