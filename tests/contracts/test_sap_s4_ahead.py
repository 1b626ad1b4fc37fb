"""Reading ahead of a listing: quicker where the host takes its time, and never another answer than one page after the other gives."""

from __future__ import annotations

import random
import threading
import time
from datetime import timedelta
from typing import Any

import pytest

from sync.http_gate import _GATES
from sync.systems.sap_s4 import make_source
from tests.contracts.odata_server import LANDSCAPE
from tests.contracts.suite import NOW
from tests.contracts.suite_server import Asked, Reply
from tests.contracts.suite_store import Store, pages_of, pull
from tests.contracts.test_sap_s4 import Orders

FIRST = NOW - timedelta(days=1)
PAGE = 4


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S4_TEST_USER", "TIDEGATE")
    monkeypatch.setenv("S4_TEST_PASSWORD", "s3cret")
    _GATES.clear()


def _source(case: Orders, width: int) -> Any:
    return make_source(case.host.connection(read_ahead=width), LANDSCAPE)


def _filled(count: int, *, together: int = 1) -> Orders:
    case = Orders()
    case.host.page = PAGE
    for number in range(count):
        case.put(f"k{number:03d}", number, FIRST + timedelta(minutes=number // together))
    return case


def _asked(case: Orders) -> list[tuple[str | None, str | None]]:
    return [(one.query.get("$filter"), one.query.get("$skip")) for one in case.host.server.asked if one.path.endswith("A_SalesOrder")]


@pytest.mark.parametrize("together", [1, 2, 3])
def test_it_reads_the_same_and_asks_for_no_page_in_vain(together: int) -> None:
    """All records, whatever their stamps have in common; where each has its own, each call brings some that are new. A page has two
    records in common with the one before it.
    """
    with _filled(25, together=together) as plain, _filled(25, together=together) as ahead:
        one, other = Store(), Store()
        pull(_source(plain, 1), "sales_orders", None, one, now=NOW)
        pull(_source(ahead, 4), "sales_orders", None, other, now=NOW)
        assert len(other.live("sales_order")) == 25
        assert one.live("sales_order") == other.live("sales_order")
        if together == 1:
            assert len(_asked(ahead)) <= 1 + (25 - PAGE + 1) // (PAGE - 2)
            assert any(skip for _, skip in _asked(ahead))
        # Pages that overlap are no sign of a host that does not heed what it is asked: only such a one is read by number alone.
        assert all(condition for condition, _ in _asked(ahead)[1:])


def test_pages_are_asked_for_beside_each_other() -> None:
    """A host that takes its time for each answer is waited for once for several pages, and never by more calls than was said."""
    with _filled(30) as case:
        running, most, lock = 0, 0, threading.Lock()

        def slow(_: Asked) -> Reply | None:
            nonlocal running, most
            with lock:
                running += 1
                most = max(most, running)
            time.sleep(0.05)
            with lock:
                running -= 1
            return None

        case.host.hook = slow
        store = Store()
        pull(_source(case, 4), "sales_orders", None, store, now=NOW)
        assert len(store.live("sales_order")) == 30
        assert 2 < most <= 4


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("width", [1, 4])
def test_records_that_move_meanwhile_push_no_other_out(width: int, seed: int) -> None:
    """However records change while pages are under way, every one of them has come by the next pull, and none that stayed is missing."""
    dice = random.Random(seed)
    with _filled(24) as case:
        moved: set[str] = set()
        lock = threading.Lock()

        def move(asked: Asked) -> Reply | None:
            with lock:
                if asked.path.endswith("A_SalesOrder") and dice.random() < 0.4 and len(moved) < 10:
                    key = f"k{dice.randrange(24):03d}"
                    moved.add(key)
                    later = case.record(key, 1000 + len(moved), NOW - timedelta(minutes=20 - len(moved)))
                    others = [row for row in case.host.records["A_SalesOrder"] if row["SalesOrder"] != key]
                    case.host.records["A_SalesOrder"] = [*others, later]
            return None

        source, store = _source(case, width), Store()
        case.host.hook = move
        cursor = None
        for page in pages_of(source, "sales_orders", None, now=NOW):
            store.take(source.map("sales_orders", page))
            cursor = page.cursor or cursor
        assert {f"k{number:03d}" for number in range(24)} - moved <= store.live("sales_order").keys()
        case.host.hook = lambda _: None
        pull(source, "sales_orders", cursor, store, now=NOW + timedelta(minutes=1))
        there = {row["SalesOrder"]: float(row["TotalNetAmount"]) for row in case.host.records["A_SalesOrder"]}
        assert {key: float(row["net_value"]) for key, row in store.live("sales_order").items()} == there


@pytest.mark.parametrize("reply", [Reply(b"", 500), Reply(b"{}"), Reply(b'{"d":{"results":[]}}'), None])
def test_a_guess_that_goes_wrong_costs_nothing_but_itself(reply: Reply | None) -> None:
    """A host that fails on numbered pages, or answers anything else to them, is read one page after the other."""
    with _filled(15) as case:
        first = next(iter(case.host.records["A_SalesOrder"]))

        def odd(asked: Asked) -> Reply | None:
            if "$skip" not in asked.query:
                return None
            return reply or case.host.answer(Asked(asked.method, asked.path, {}, asked.headers, asked.body))

        case.host.hook = odd
        store = Store()
        pull(_source(case, 4), "sales_orders", None, store, now=NOW)
        assert len(store.live("sales_order")) == 15
        assert first["SalesOrder"] in store.live("sales_order")
