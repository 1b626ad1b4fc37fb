"""The declaration of tidegate.toml against the sandbox's billing tool, with its faults; every request is held to the tool's description."""

from __future__ import annotations

import itertools
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
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
from sync.errors import AuthError, QuotaError, SourceError, TransientError
from sync.ports import Cursor, Source
from sync.systems.rest import make_source
from tests.contracts.suite_openapi import Description
from tests.contracts.suite_sandbox import Dial
from tests.contracts.suite_store import Store, pages_of, pull

pytestmark = pytest.mark.xdist_group("rest-sandbox")
"""One worker: two would start the sandbox twice."""

ROOT = Path(__file__).parents[2]
SYSTEM = "subscriptions"
STREAM = "invoices"
OPENED = datetime(2026, 11, 23, 6, 30, tzinfo=UTC)
DESCRIPTION = Description(spec.spec())
_NUMBER = itertools.count(1)


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with sandbox.running(tmp_path_factory.mktemp("sandbox"), customers=6, history_days=20, start_at=OPENED) as running:
        yield running


@pytest.fixture
def landscape(box: Running, monkeypatch: pytest.MonkeyPatch) -> Landscape:
    """The connections file as it is shipped."""
    told = environment(box.manifest)
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    return load(ROOT / "tidegate.toml", told)


@pytest.fixture
def connection(landscape: Landscape) -> Connection:
    """The shipped connection under a name of its own, since breakers are kept by name."""
    return landscape.connection(SYSTEM).model_copy(update={"name": f"billing-{next(_NUMBER)}"})


@pytest.fixture
def source(connection: Connection, landscape: Landscape) -> Iterator[Source]:
    source = make_source(connection, landscape)
    yield source
    source.close()


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


@pytest.mark.parametrize(
    ("kind", "how", "error"),
    [
        ("outage", {}, TransientError), ("outage", {"how": "503"}, TransientError), ("rate_limit", {"retry_after": 7}, QuotaError),
        ("rate_limit", {"form": "none"}, QuotaError), ("server_error", {}, TransientError), ("truncated", {}, TransientError),
        ("truncated", {"content_length": False}, TransientError), ("html_login", {}, TransientError), ("expired_token", {}, AuthError),
        ("repeated_page", {}, TransientError),
    ],
)  # fmt: skip
def test_a_fault_is_an_error_of_its_type_and_loses_nothing(
    box: Running, connection: Connection, landscape: Landscape, source: Source, dial: Dial, kind: str, how: dict[str, Any],
    error: type[SourceError],
) -> None:  # fmt: skip
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
    later = make_source(connection.model_copy(update={"name": f"{connection.name}-later"}), landscape)
    pull(later, STREAM, committed, store, now=box.world.now)
    later.close()
    assert _held(store) == _expected(box)


@pytest.mark.parametrize(("kind", "how"), [("duplicate_records", {}), ("out_of_order", {"times": 1}), ("page_size", {"size": 30})])
def test_duplicates_disorder_and_small_pages_change_nothing(
    box: Running, source: Source, dial: Dial, kind: str, how: dict[str, int]
) -> None:
    """A record twice, a page in reverse, short pages: the facts are the same."""
    dial.fault(SYSTEM, kind, entity=STREAM, **how)
    store = Store()
    pull(source, STREAM, None, store, now=box.world.now)
    assert _held(store) == _expected(box)
    assert store.rejects == []


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
        dial._http.post("advance", json={"hours": 5}).raise_for_status()
        done = pull(source, STREAM, done.cursor, store, now=box.world.now)
        dial.clear()
        dial._http.post("advance", json={"days": 3}).raise_for_status()
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
