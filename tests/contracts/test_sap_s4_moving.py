"""Nothing is lost for good when orders change while they are read, whatever a host knows of paging, order and conditions."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from sync.errors import TransientError
from sync.http_gate import _GATES
from sync.systems.sap_s4 import make_source
from tests.contracts.odata_moving import Moving
from tests.contracts.odata_server import LANDSCAPE
from tests.contracts.suite import NOW
from tests.contracts.suite_store import Store, pages_of, pull_pages

LONG_AGO = datetime(2026, 5, 1, 8)
"""Much longer ago than the look-back: a record that is passed over is not read again."""


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S4_TEST_USER", "TIDEGATE")
    monkeypatch.setenv("S4_TEST_PASSWORD", "s3cret")
    _GATES.clear()


@pytest.fixture
def hosts() -> Iterator[list[Moving]]:
    made: list[Moving] = []
    yield made
    for host in made:
        host.server.close()


def read(host: Moving, cursor: Any, store: Store, *, later: int = 0, **options: Any) -> Any:
    source = make_source(host.connection(**options), LANDSCAPE)
    for count, page in enumerate(pages_of(source, "sales_orders", cursor, now=NOW + timedelta(minutes=later))):
        assert count < 400, "the pull does not end"
        store.take(source.map("sales_orders", page))
        cursor = page.cursor if page.cursor is not None else cursor
    source.close()
    return cursor


def held(store: Store) -> dict[str, int]:
    return {key: int(row["net_value"]) for key, row in store.live("sales_order").items()}


def there(host: Moving) -> dict[str, int]:
    return {key: worth for key, (_, worth) in host.orders.items()}


HOSTS: list[dict[str, Any]] = [
    {"pages": "links"}, {"pages": "counts"}, {"pages": "silent"}, {"pages": "whole"}, {"pages": "links", "v4": True},
    {"pages": "counts", "v4": True}, {"pages": "counts", "cap": 1}, {"pages": "silent", "cap": 1}, {"pages": "links", "order": "first"},
    {"pages": "counts", "order": "first"}, {"pages": "silent", "order": "first"}, {"pages": "counts", "order": "none", "cap": 8},
    {"pages": "links", "heeds": False}, {"pages": "counts", "heeds": False}, {"pages": "silent", "heeds": False},
    {"pages": "whole", "heeds": False}, {"pages": "counts", "order": "none", "heeds": False},
]  # fmt: skip


@pytest.mark.parametrize("apart", [timedelta(), timedelta(hours=1)], ids=["one stamp", "a stamp each"])
@pytest.mark.parametrize("form", HOSTS, ids=lambda form: ",".join(f"{name}={value}" for name, value in form.items()))
def test_nothing_is_lost_for_good(form: dict[str, Any], apart: timedelta, hosts: list[Moving]) -> None:
    """Orders of one stamp, or of one each, jump to the end between pages: those that did not are all there, and after one more pull all
    are, as they are now; the cursor is past them.
    """
    for seed in range(3):
        host = Moving(seed=seed, **form)
        hosts.append(host)
        host.fill(14, LONG_AGO, apart=apart)
        store = Store()
        cursor = read(host, None, store)
        missed = there(host).keys() - held(store).keys() - host.moved
        assert missed == set()
        host.moves = 0
        read(host, cursor, store, later=1)
        assert held(store) == there(host)


@pytest.mark.parametrize("order", ["full", "first"])
def test_pages_that_are_guessed_lose_nothing_either(order: Any, hosts: list[Moving]) -> None:
    """Full pages of few, several asked for at once, stamps that several share: as without guessing."""
    for seed in range(5):
        host = Moving(pages="counts", order=order, cap=4, seed=seed, moves=8)
        hosts.append(host)
        for number in range(0, 40, 2):
            host.fill(number + 2, LONG_AGO, apart=timedelta())
        host.orders = {key: (ticks + int(key) // 3 * 10_000_000, worth) for key, (ticks, worth) in host.orders.items()}
        store = Store()
        cursor = read(host, None, store, page_size=4, read_ahead=4)
        assert there(host).keys() - held(store).keys() - host.moved == set()
        host.moves = 0
        read(host, cursor, store, later=1, page_size=4, read_ahead=4)
        assert held(store) == there(host)


@pytest.mark.parametrize("form", [{"heeds": False}, {"order": "none", "cap": 7}, {}], ids=["no conditions", "no order", "all heeded"])
def test_a_pull_that_is_cut_anywhere_loses_nothing(form: dict[str, Any], hosts: list[Moving]) -> None:
    """Killed after any page and taken up from the cursor it had committed by then: nothing is passed over."""
    for pages in range(1, 5):
        host = Moving(pages="counts", seed=pages, **form)
        hosts.append(host)
        host.fill(12, LONG_AGO, apart=timedelta(hours=1))
        store, source = Store(), make_source(host.connection(), LANDSCAPE)
        cursor = pull_pages(source, "sales_orders", None, store, now=NOW, pages=pages)
        source.close()
        host.moves = 0
        read(host, cursor, store, later=1)
        assert held(store) == there(host)


def test_a_host_that_never_rests_is_told_and_not_passed_over(hosts: list[Moving]) -> None:
    """Read by number while everything moves all the time: an error that says so, and no cursor that claims anything."""
    host = Moving(pages="silent", heeds=False, moves=10**6, each=6)
    hosts.append(host)
    host.fill(12, LONG_AGO)
    source, cursors = make_source(host.connection(), LANDSCAPE), []
    with pytest.raises(TransientError, match="move faster"):
        cursors += [page.cursor for page in pages_of(source, "sales_orders", None, now=NOW)]
    assert not any(cursors)


def test_an_empty_first_answer_claims_nothing(hosts: list[Moving]) -> None:
    """A user without authorisation sees no record: when he is let see them, those of long ago are read too."""
    host = Moving(moves=0)
    hosts.append(host)
    store = Store()
    cursor = read(host, None, store)
    host.fill(5, LONG_AGO)
    read(host, cursor, store, later=60)
    assert held(store) == there(host)


@pytest.mark.parametrize("count", [0, 1, 2])
@pytest.mark.parametrize("heeds", [True, False])
@pytest.mark.parametrize("pages", ["links", "counts", "silent", "whole"])
def test_few_records_cost_few_calls(pages: Any, heeds: bool, count: int, hosts: list[Moving]) -> None:
    """None, one or two orders, on any host: read, and not asked for over and over."""
    host = Moving(pages=pages, heeds=heeds, moves=0)
    hosts.append(host)
    host.fill(count, LONG_AGO)
    store = Store()
    read(host, None, store)
    assert held(store) == there(host)
    assert host.listings <= 8
