"""The sandbox's file server, read as tidegate.toml declares it, gives the world's own picture, whatever the fault dial does."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

import sandbox
from app.sandbox_link import environment
from sync.connections import load
from sync.errors import AuthError, DataError, IdentityError, PermanentError, SourceError, TransientError
from sync.ports import Cursor, Page
from sync.systems.flat_files import make_source
from sync.systems.flat_files.client import FlatFiles
from tests.contracts.suite_sandbox import Dial
from tests.contracts.suite_store import Store, pages_of

OPENED = datetime(2026, 11, 23, 6, 30, tzinfo=UTC)
DECLARED = Path(__file__).parents[2] / "tidegate.toml"
SYSTEM = "legacy-latam"


class Remote:
    """The connection of tidegate.toml to a sandbox of its own, and what we know after taking its files."""

    def __init__(self, running: sandbox.Running) -> None:
        self.running, self.dial = running, Dial(running)
        landscape = load(DECLARED, {**os.environ, **environment(running.manifest)})
        self.source: FlatFiles = make_source(landscape.connection(SYSTEM), landscape)
        self.home = Path(running.system(SYSTEM)["drop"])
        self.store = Store()
        self.cursors: dict[str, Cursor | None] = {}
        self.refused: list[DataError] = []

    def take(self) -> list[str]:
        """Takes every file that is there, as the pipeline does; their names."""
        names: list[str] = []
        for stream in self.source.streams():
            for page in pages_of(self.source, stream.name, self.cursors.get(stream.name), now=self.running.world.now):
                self._settle(stream.name, page)
                names.append(page.name or "")
        return names

    def _settle(self, stream: str, page: Page) -> None:
        self.cursors[stream] = page.cursor
        try:
            self.store.take(self.source.map(stream, page))
        except DataError as error:
            self.refused.append(error)
            self.source.settled(stream, page, accepted=False, reason=error.detail)
        else:
            self.source.settled(stream, page, accepted=True, reason=None)

    def change_a_limit(self) -> None:
        """A customer's limit changes and the next files are dropped."""
        customer = next(c for c in self.running.world.customers.values() if c.entity == "MX01")
        self.dial.act("change_limit", customer=customer.number, factor=1.5)
        self.dial.act("bulk", entity="legacy_invoice", n=2)
        self.dial.advance(hours=6)

    def check(self) -> None:
        """Holds customers, limits and open amounts against the world."""
        world = self.running.world
        mine = {c.number: c for c in world.customers.values() if c.entity == "MX01" and c.number not in world.legacy_touched}
        known = {row["number"]: row for row in self.store.live("customer").values()}
        limits = {row["customer_key"]: row["limit_amount"] for row in self.store.live("credit_limit").values()}
        assert {n: (c.name[:35], c.country, c.terms, c.limit) for n, c in mine.items()} == {
            n: (known[n]["name"], known[n]["country"], known[n]["payment_terms_days"], limits[n]) for n in mine
        }
        bills = {n: i.open for n, i in world.invoices.items() if i.host == SYSTEM and n not in world.legacy_touched}
        open_amounts = {key: row["gross"] for key, row in self.store.live("invoice").items()}
        for row in self.store.live("payment_application").values():
            open_amounts[row["invoice_key"]] -= row["amount"]
        assert {n: open_amounts.get(n) for n in bills} == bills

    def close(self) -> None:
        self.source.close()
        self.dial.close()


@pytest.fixture
def remote(tmp_path: Path) -> Iterator[Remote]:
    with sandbox.running(tmp_path, customers=12, history_days=60, start_at=OPENED) as running:
        one = Remote(running)
        yield one
        one.close()


def test_the_server_is_the_world(remote: Remote) -> None:
    """Customers by IDoc, limits and open items delimited: days of changes, to the cent; accepted files lie in the archive there."""
    for _ in range(6):
        remote.take()
        remote.check()
        remote.change_a_limit()
    assert (remote.refused, remote.store.rejects) == ([], [])
    remote.take()
    left = {path.name for path in remote.home.iterdir() if path.is_file()}
    assert left == set()
    archived = {path.name for path in (remote.home / "archive").iterdir()}
    assert {name.split("_")[0] for name in archived} == {"DEBMAS", "customers", "openitems"}
    assert {name.removesuffix(".done") for name in archived if name.startswith("DEBMAS")} < archived


def test_the_probe_proves_the_server(remote: Remote) -> None:
    """From the address to a first file of every kind."""
    findings = list(remote.source.probe(now=remote.running.world.now))
    assert [finding for finding in findings if not finding.ok] == []
    assert [finding.what.split("_")[0] for finding in findings][-5::2] == ["DEBMAS", "customers", "openitems"]


@pytest.mark.parametrize(
    ("fault", "expected"),
    [("outage", TransientError), ("other_host_key", IdentityError), ("login_refused", AuthError)],
)
def test_a_hampered_server_stops_the_pull_and_nothing_is_lost(remote: Remote, fault: str, expected: type[SourceError]) -> None:
    """What stands on the server is no empty drop; afterwards everything comes."""
    remote.dial.fault(SYSTEM, fault)
    with pytest.raises(expected):
        remote.take()
    remote.dial.clear()
    assert len(remote.take()) == 3
    remote.check()


def test_a_file_that_is_cut_on_its_way_is_gone_on_with(remote: Remote) -> None:
    """Once for each stream: the session is made anew and the file comes whole."""
    remote.dial.fault(SYSTEM, "truncated", times=2)
    assert len(remote.take()) == 3
    assert remote.refused == []
    remote.check()


def test_files_land_though_nothing_may_be_moved(remote: Remote) -> None:
    """A server without rights: the data land, the missing right is said, and once it is given the files are filed away, not taken again."""
    remote.dial.fault(SYSTEM, "read_only")
    assert len(remote.take()) == 3
    remote.check()
    with pytest.raises(PermanentError, match="allow renaming"):
        remote.take()
    remote.dial.clear()
    assert remote.take() == []
    assert [path for path in remote.home.iterdir() if path.is_file()] == []


def test_late_broken_and_repeated_files_come_through_the_server_too(remote: Remote) -> None:
    """Held back: nothing comes. Broken: refused, with its reason beside it. Again the same: nothing. Corrected: a new version."""
    remote.take()
    remote.dial.fault(SYSTEM, "late_file")
    remote.change_a_limit()
    assert remote.take() == []
    remote.dial.clear()
    remote.dial.state()
    assert len(remote.take()) == 3
    remote.check()
    remote.dial.fault(SYSTEM, "broken_file", times=3)
    remote.change_a_limit()
    assert len(remote.take()) == 3
    assert {error.cause for error in remote.refused} == {"control_total", "file_unreadable"}
    assert len(list((remote.home / "quarantine").glob("*.reason.json"))) == 3
    remote.refused.clear()
    remote.change_a_limit()
    remote.take()
    before = len(remote.store.live("invoice"))
    remote.dial.fault(SYSTEM, "resent_file", times=1)
    remote.dial.state()
    assert remote.take() == []
    remote.dial.fault(SYSTEM, "resent_file", times=1, how="corrected")
    remote.dial.state()
    assert len(remote.take()) == 1
    assert (len(remote.store.live("invoice")), remote.refused) == (before, [])
