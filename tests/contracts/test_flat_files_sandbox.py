"""The sandbox's legacy drop, read as examples/legacy-drop.toml declares it, gives the world's own picture."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import sandbox
from sync.connections import load
from sync.errors import DataError
from sync.ports import Cursor
from sync.systems.flat_files import make_source
from sync.systems.flat_files.client import FlatFiles
from tests.contracts.suite_store import Store, pages_of

OPENED = datetime(2026, 11, 23, 6, 30, tzinfo=UTC)
EXAMPLE = Path(__file__).parents[2] / "examples" / "legacy-drop.toml"


class Reader:
    """The drop folder of a running sandbox and what we know after taking its files."""

    def __init__(self, running: sandbox.Running) -> None:
        self.running = running
        self.folder = Path(running.system("legacy-latam")["drop"])
        landscape = load(EXAMPLE, {"LEGACY_DROP": str(self.folder)})
        self.source: FlatFiles = make_source(landscape.connection("legacy-latam"), landscape)
        self.store = Store()
        self.cursors: dict[str, Cursor | None] = {}
        self.refused: list[DataError] = []

    def control(self, path: str, body: Mapping[str, Any]) -> None:
        request = urllib.request.Request(
            f"{self.running.control}/control/{path}", json.dumps(body).encode(), {"content-type": "application/json"}
        )
        urllib.request.urlopen(request).close()

    def read(self) -> int:
        """Takes every file that is there, as the pipeline does: refused ones too pass the cursor. How many there were."""
        count = 0
        for stream in self.source.streams():
            for page in pages_of(self.source, stream.name, self.cursors.get(stream.name), now=self.running.world.now):
                count += 1
                self.cursors[stream.name] = page.cursor
                try:
                    self.store.take(self.source.map(stream.name, page))
                except DataError as error:
                    self.refused.append(error)
                    self.source.settled(stream.name, page, accepted=False, reason=error.detail)
                else:
                    self.source.settled(stream.name, page, accepted=True, reason=None)
        return count

    def check(self) -> None:
        """Holds open amounts and limits against the world."""
        world = self.running.world
        bills = {number: one for number, one in world.invoices.items() if one.host == "legacy-latam" and number not in world.legacy_touched}
        open_amounts = {key: row["gross"] for key, row in self.store.live("invoice").items()}
        for row in self.store.live("payment_application").values():
            open_amounts[row["invoice_key"]] -= row["amount"]
        wrong = {key: (open_amounts.get(key), one.open) for key, one in bills.items() if open_amounts.get(key) != one.open}
        assert wrong == {}
        limits = {row["customer_key"]: row["limit_amount"] for row in self.store.live("credit_limit").values()}
        known = {
            one.number: one.limit for one in world.customers.values() if one.entity == "MX01" and one.number not in world.legacy_touched
        }
        assert {key: limits.get(key) for key in known} == known


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    with sandbox.running(tmp_path, customers=24, history_days=120, start_at=OPENED) as running:
        yield Reader(running)


def test_the_drop_is_the_world(reader: Reader) -> None:
    """The opening files and ten days of changes, taken as they come, give every open amount and limit to the cent."""
    for _ in range(10):
        reader.control("advance", {"days": 1})
        reader.read()
        reader.check()
    assert reader.store.rejects == []
    assert reader.refused == []
    assert sum(row["gross"] for row in reader.store.live("invoice").values()) > Decimal(0)
    assert not list(reader.folder.glob("*.csv")), "accepted files lie in the archive"


def test_a_broken_file_is_refused_and_its_successor_taken(reader: Reader) -> None:
    """A cut file, and one whose totals are wrong, land nothing and go to quarantine; later files are taken."""
    for how in ("cut", "totals"):
        reader.control("faults", {"system": "legacy-latam", "kind": "broken_file", "times": 1, "how": how})
        reader.control("act", {"do": "bulk", "entity": "legacy_invoice", "n": 2})
        _until(reader, lambda: bool(reader.refused))
        assert reader.refused.pop().cause in ("control_total", "file_unreadable")
    assert list((reader.folder / "quarantine").glob("*.reason.json"))
    reader.control("act", {"do": "bulk", "entity": "legacy_invoice", "n": 2})
    invoices = len(reader.store.live("invoice"))
    _until(reader, lambda: len(reader.store.live("invoice")) > invoices)
    assert reader.refused == []


def test_a_broken_line_is_one_reject(reader: Reader) -> None:
    """A line with a day that does not exist is rejected alone."""
    reader.control("act", {"do": "break_record", "system": "legacy-latam", "entity": "openitems", "how": "bad_date"})
    _until(reader, lambda: bool(reader.store.rejects))
    assert {(reject["cause"], reject["field"]) for reject in reader.store.rejects} == {("bad_date", "FECHA_EMISION")}
    assert reader.refused == []


def _until(reader: Reader, happened: Any) -> None:
    for _ in range(12):
        reader.control("advance", {"hours": 12})
        reader.read()
        if happened():
            return
    pytest.fail("no file came")
