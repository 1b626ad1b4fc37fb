"""The declaration of tidegate.toml against the sandbox's billing tool, with its faults; every request is held to the tool's description."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

import sandbox
from app.sandbox_link import environment
from sandbox import Running
from sandbox.subscriptions import objects, spec
from sync.connections import Connection, Landscape, load
from sync.errors import AuthError, TransientError
from sync.ports import Source
from sync.systems.rest import make_source
from tests.contracts.suite_openapi import Description
from tests.contracts.suite_sandbox import DISORDER, FAULTS, OPENED, Dial, Fault, PagedSandboxSuite, Reading, module_box, renamed
from tests.contracts.suite_store import Store, pull

pytestmark = pytest.mark.xdist_group("rest-sandbox")
"""One worker: two would start the sandbox twice."""

ROOT = Path(__file__).parents[2]
SYSTEM = "subscriptions"
STREAM = "invoices"
DESCRIPTION = Description(spec.spec())


box = module_box(customers=6, history_days=20)


@pytest.fixture
def landscape(box: Running, monkeypatch: pytest.MonkeyPatch) -> Landscape:
    """The connections file as it is shipped."""
    told = environment(box.manifest)
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    return load(ROOT / "tidegate.toml", told)


@pytest.fixture
def connection(landscape: Landscape) -> Connection:
    """The shipped connection."""
    return renamed(landscape.connection(SYSTEM))


@pytest.fixture
def source(connection: Connection, landscape: Landscape) -> Iterator[Source]:
    source = make_source(connection, landscape)
    yield source
    source.close()


@pytest.fixture
def reading(box: Running, connection: Connection, landscape: Landscape) -> Reading:
    return Reading(
        box, SYSTEM, STREAM, STREAM, lambda: make_source(renamed(connection), landscape), truth=lambda: _expected(box), held=_held
    )


@pytest.fixture(autouse=True)
def _described(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every request that leaves for the tool is one that its description knows."""
    send = httpx.Client.send

    def checked(client: httpx.Client, request: httpx.Request, **how: Any) -> httpx.Response:
        if request.url.path.startswith("/v1/"):
            DESCRIPTION.request(request.method, request.url.path, dict(parse_qsl(urlsplit(str(request.url)).query)), {}, None)
        return send(client, request, **how)

    monkeypatch.setattr(httpx.Client, "send", checked)


def _expected(box: Running) -> dict[str, tuple[Decimal, str]]:
    """The invoices by the tool's own book."""
    words = {"open": "posted", "paid": "cleared", "void": "cancelled"}
    return {one["id"]: (Decimal(one["total"]).scaleb(-2), words[one["status"]]) for one in objects.invoices(box.world)}


def _held(store: Store) -> dict[str, tuple[Decimal, str]]:
    return {key: (row["gross"], row["status"]) for key, row in store.live("invoice").items()}


def test_every_list_holds_what_the_tool_holds(box: Running, source: Source) -> None:
    """Customers, invoices and what was paid on them, over several pages, none rejected, to the cent."""
    store = Store()
    for stream in source.streams():
        pull(source, stream.name, None, store, now=box.world.now)
    assert store.rejects == []
    assert _held(store) == _expected(box)
    assert {key: row["name"] for key, row in store.live("customer").items()} == {
        one["id"]: one["name"] for one in objects.customers(box.world)
    }
    paid = {one["id"]: Decimal(one["amount_paid"]).scaleb(-2) for one in objects.invoices(box.world) if one["status"] == "paid"}
    assert {row["invoice_key"]: row["amount"] for row in store.live("payment_application").values()} == paid
    assert {(row["legal_entity"], row["region"], row["currency"]) for row in store.live("invoice").values()} == {("US01", "NA", "USD")}


class TestReading(PagedSandboxSuite):
    @pytest.fixture(params=[*FAULTS, Fault("expired_token", AuthError), Fault("repeated_page", TransientError)], ids=str)
    def fault(self, request: pytest.FixtureRequest) -> Fault:
        """The key is no token that could be renewed, and a page that names itself would never end."""
        fault: Fault = request.param
        return fault

    @pytest.fixture(params=[DISORDER[0], ("out_of_order", {"times": 1}), ("page_size", {"size": 30})], ids=lambda param: param[0])
    def disorder(self, request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
        """Each page begins after the last record of the one before: a second page in reverse would be another list."""
        disorder: tuple[str, dict[str, Any]] = request.param
        return disorder


def test_drift_costs_the_records_it_touches(box: Running, source: Source, dial: Dial) -> None:
    """A status that became an object, or is gone, is quarantined by its cause; a new member is nothing; a strange customer is kept as told."""
    for change, cause in (("retype", "schema_drift"), ("remove", "missing_field")):
        dial.fault(SYSTEM, "schema_drift", entity=STREAM, change=change, times=1)
        store = Store()
        pull(source, STREAM, None, store, now=box.world.now)
        assert ({reject["cause"] for reject in store.rejects}, len(store.rejects)) == ({cause}, 100)
    dial.fault(SYSTEM, "schema_drift", entity=STREAM, change="add")
    dial.fault(SYSTEM, "unknown_customer", entity=STREAM, times=1)
    store = Store()
    pull(source, STREAM, None, store, now=box.world.now)
    assert (_held(store), store.rejects) == (_expected(box), [])
    assert "cus_000000000000" in {row["customer_key"] for row in store.live("invoice").values()}


def test_what_changed_is_asked_for_and_a_late_commit_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Days later only what changed comes; what was hidden while we read, and appears with its old stamp, is found by the look-back."""
    with sandbox.running(tmp_path / "own", customers=6, history_days=5, start_at=OPENED) as box:
        told = environment(box.manifest)
        for name, value in told.items():
            monkeypatch.setenv(name, value)
        landscape = load(ROOT / "tidegate.toml", told)
        dial, store = Dial(box), Store()
        source = make_source(landscape.connection(SYSTEM).model_copy(update={"name": "billing-own"}), landscape)
        done = pull(source, STREAM, None, store, now=box.world.now)
        dial.fault(SYSTEM, "late_commit", entity=STREAM)
        dial.advance(hours=5)
        done = pull(source, STREAM, done.cursor, store, now=box.world.now)
        dial.clear()
        dial.advance(days=3)
        done = pull(source, STREAM, done.cursor, store, now=box.world.now)
        source.close()
        dial.close()
        assert _held(store) == _expected(box)
        assert 0 < sum(mapped.records for mapped in done.mapped) < 60
        assert box.world.now - OPENED > timedelta(days=3)


def test_the_walk_in_the_documentation_is_this_declaration() -> None:
    """What docs/connections/rest.md and the example say is what tidegate.toml declares, but for address, secret and the rehearsal's look-back."""
    page = (ROOT / "docs" / "connections" / "rest.md").read_text(encoding="utf-8")
    example = tomllib.loads((ROOT / "examples" / "rest-subscriptions.toml").read_text(encoding="utf-8"))["connection"][0]
    shipped = next(
        one for one in tomllib.loads((ROOT / "tidegate.toml").read_text(encoding="utf-8"))["connection"] if one["name"] == SYSTEM
    )
    walked = tomllib.loads("\n".join(part.partition("```")[0] for part in page.split("```toml\n")[1:]))["connection"][0]
    for one in (example, shipped, walked):
        for told in ("base_url", "webhook"):
            one["options"].pop(told, None)
        for stream in one["options"]["streams"]:
            stream.get("incremental", {}).pop("look_back_minutes", None)
    assert example["options"] == shipped["options"] == walked["options"]
    names = ("name", "system", "role", "region", "legal_entities", "owner")
    assert [{name: one[name] for name in names} for one in (example, walked)] == [{name: shipped[name] for name in names}] * 2
