"""The Modern Treasury adapter against the sandbox's organisation, with its faults; every request it sends is held to the description."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

import sandbox
from sandbox import Running
from sandbox.modern_treasury import objects, spec
from sandbox.world import operating
from sync.connections import Connection
from sync.errors import AuthError, PermanentError, QuotaError, SourceError, TransientError, UnknownOutcome
from sync.ports import Cursor, Order, Probing, Source
from sync.systems.modern_treasury import make_source, make_target
from tests.contracts.suite_openapi import Description
from tests.contracts.suite_sandbox import LANDSCAPE, Dial, connection_to
from tests.contracts.suite_store import Store, pages_of, pull

pytestmark = pytest.mark.xdist_group("modern-treasury-sandbox")
"""One worker: two would start the sandbox twice."""

SYSTEM = "modern-treasury"
STREAM = "expected_payments"
DESCRIPTION = Description(spec.spec())
_NUMBER = itertools.count(1)


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with sandbox.running(tmp_path_factory.mktemp("sandbox"), customers=6, history_days=30) as running:
        yield running


@pytest.fixture
def organisation(box: Running, monkeypatch: pytest.MonkeyPatch) -> Connection:
    told = connection_to(box, SYSTEM, "modern_treasury", monkeypatch, "organization_id", "api_key", page_size=20)
    return told.model_copy(update={"name": f"mt-{next(_NUMBER)}", "region": "NA", "legal_entities": ("US01",)})


@pytest.fixture
def source(organisation: Connection) -> Iterator[Source]:
    source = make_source(organisation, LANDSCAPE)
    yield source
    source.close()


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
    for day, (opening, closing) in operating.closings(box.world).items():
        if (day, "closing_booked") in closings:
            assert (closings[day, "opening_booked"], closings[day, "closing_booked"]) == (opening, closing)
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


@pytest.mark.parametrize(
    ("kind", "how", "error"),
    [
        ("outage", {}, TransientError), ("rate_limit", {"retry_after": 7}, QuotaError), ("rate_limit", {"form": "none"}, QuotaError),
        ("server_error", {}, TransientError), ("truncated", {}, TransientError), ("truncated", {"content_length": False}, TransientError),
        ("html_login", {}, TransientError), ("expired_token", {}, AuthError), ("repeated_page", {}, TransientError),
    ],
)  # fmt: skip
def test_a_fault_is_an_error_of_its_type_and_loses_nothing(
    box: Running, organisation: Connection, source: Source, dial: Dial, kind: str, how: dict[str, Any], error: type[SourceError]
) -> None:
    """The type says what to do, and the next pull from the committed cursor finds the rest."""
    store = Store()
    pages = pages_of(source, STREAM, None, now=box.world.now)
    first = next(pages)
    store.take(source.map(STREAM, first))
    committed: Cursor | None = first.cursor
    dial.fault(SYSTEM, kind, entity=STREAM, **how)
    with pytest.raises(error):
        for page in pages:
            store.take(source.map(STREAM, page))
            committed = page.cursor or committed
    dial.clear()
    later = make_source(organisation.model_copy(update={"name": f"{organisation.name}-later"}), LANDSCAPE)
    pull(later, STREAM, committed, store, now=box.world.now)
    later.close()
    assert _held(store) == _expected(box)


@pytest.mark.parametrize("kind", ["duplicate_records", "out_of_order"])
def test_duplicates_and_disorder_change_nothing(box: Running, source: Source, dial: Dial, kind: str) -> None:
    """A record twice, a page in reverse: the facts are the same."""
    dial.fault(SYSTEM, kind, entity=STREAM)
    store = Store()
    pull(source, STREAM, None, store, now=box.world.now)
    assert _held(store) == _expected(box)


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


def test_a_late_commit_is_found(box: Running, organisation: Connection, source: Source, dial: Dial) -> None:
    """What was hidden while we read, and appears with its old stamp, is found by the look-back."""
    target = make_target(organisation, LANDSCAPE)
    dial.fault(SYSTEM, "late_commit", entity=STREAM)
    dial._http.post("advance", json={"seconds": 2}).raise_for_status()  # stamps have whole seconds
    store = Store()
    made = target.apply(_order("late", reference="TG-late"))
    hidden = pull(source, STREAM, None, store, now=box.world.now)
    assert str(made.reference) not in _held(store)
    dial.clear()
    pull(source, STREAM, hidden.cursor, store, now=box.world.now + timedelta(minutes=1))
    target.close()
    assert _held(store) == _expected(box)


def _order(name: str, **payload: Any) -> Order:
    told = {
        "amount": "1234567.89",
        "currency": "USD",
        "expected_date": "2027-01-15",
        "description": "Contract C-1",
        "company": "US01",
        **payload,
    }
    return Order(f"forecast:{name}", "publish_forecast", name, told)


def test_a_forecast_is_published_once_and_comes_back_as_ours(box: Running, organisation: Connection, source: Source, dial: Dial) -> None:
    """Applied, then already there: one write in the organisation's log, to the cent; the echo carries our reference."""
    target = make_target(organisation, LANDSCAPE)
    before = len(dial.writes(SYSTEM))
    for order, amount in ((_order("once"), Decimal("1234567.89")), (_order("back", amount="-0.05"), Decimal("-0.05"))):
        assert target.read(order).outcome == "absent"
        made = target.apply(order)
        assert made.outcome == "applied"
        assert target.apply(order).outcome == "already"
        store = Store()
        pull(source, STREAM, None, store, now=box.world.now)
        echo = store.live("forecast_item")[str(made.reference)]
        assert echo["reference"].startswith("TG-")
        assert (echo["amount"], echo["currency"], echo["account"], str(echo["expected_date"])) == (
            amount,
            "USD",
            objects.ACCOUNT_ID,
            "2027-01-15",
        )
    assert len(dial.writes(SYSTEM)) == before + 2
    target.close()


def test_a_lost_answer_is_unknown_and_reading_tells(organisation: Connection, dial: Dial) -> None:
    """Executed, but the answer never came: unknown; the reference shows that it is there, so it is not created again."""
    target = make_target(organisation, LANDSCAPE)
    order = _order("lost")
    before = len(dial.writes(SYSTEM))
    dial.fault(SYSTEM, "drop_response_after_execute", times=1)
    with pytest.raises(UnknownOutcome):
        target.apply(order)
    assert target.read(order).outcome == "already"
    assert target.apply(replace(order, attempt=2)).outcome == "already"
    assert len(dial.writes(SYSTEM)) == before + 1
    target.close()


def test_what_treasury_changed_differs(organisation: Connection) -> None:
    """The same reference with another amount: the world moved on, and nothing is written over it."""
    target = make_target(organisation, LANDSCAPE)
    target.apply(_order("changed"))
    assert target.read(_order("changed", amount="5")).outcome == "differs"
    assert target.apply(_order("changed", amount="5")).outcome == "differs"
    target.close()


@pytest.mark.parametrize(
    ("payload", "words"),
    [({"currency": "JPY", "amount": "5"}, "no account of US01 in JPY"), ({"amount": "1.005"}, "no whole number"), ({"amount": "NaN"}, "no whole number"),
     ({"amount": "much"}, "no whole number"), ({"currency": "XXQ"}, "no whole number"), ({"expected_date": "soon"}, "is none"),
     ({"account": objects.VENDOR_ID}, "no such internal account")],
)  # fmt: skip
def test_what_can_not_be_published_is_said(organisation: Connection, payload: dict[str, Any], words: str) -> None:
    """A permanent error that says what is wrong; nothing is written."""
    target = make_target(organisation, LANDSCAPE)
    with pytest.raises(PermanentError, match=words):
        target.apply(_order("never", **payload))
    target.close()


def test_wrong_credentials_are_said_in_words(box: Running, organisation: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """The organisation refuses the key: an error about credentials that holds no secret."""
    monkeypatch.setenv(organisation.secrets["api_key"].removeprefix("env:"), "wr0ng-secret")
    source = make_source(organisation, LANDSCAPE)
    with pytest.raises(AuthError, match="invalid_key") as refused:
        pull(source, STREAM, None, Store(), now=box.world.now)
    assert "wr0ng-secret" not in repr(refused.value) + repr(source)
    source.close()


def test_the_probe_finds_all_well(box: Running, source: Source) -> None:
    """Credentials, clock and a first page of every stream."""
    assert isinstance(source, Probing)
    findings = list(source.probe(now=box.world.now))
    assert all(finding.ok for finding in findings), findings
    assert len(findings) == 9
