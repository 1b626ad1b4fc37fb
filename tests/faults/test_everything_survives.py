"""The real worker, as its own process, beside a real sandbox on a database of its own: killed, cut off and misled, it does each thing once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

import sandbox
from app.sandbox_link import environment
from db.clock import DatabaseClock, anchor
from db.engine import create, writing
from sync import crash
from sync.verify import verify
from tests.conftest import DEFAULT_VERSION, WHOLE_INSTALLATION, Servers, cloned_database
from tests.postgres.sandbox_house import ROOT, SandboxHouse, furnish

pytestmark = [pytest.mark.crash, pytest.mark.slow, pytest.mark.timeout(600), WHOLE_INSTALLATION]

PATIENCE = 120.0
KILLS = ("after_land:3", "before_commit:2", "decide", "before_send", "after_send", "before_receipt")
"""Steps of every kind; each single one is tried by the crash tests of the fact's and of the command's way."""
HOSTS = ("sap-emea", "sap-na", "sap-apac")


class Everything:
    """A worker subprocess that can be killed and started again, and what the sandbox and the database say of its work."""

    def __init__(self, house: SandboxHouse, home: Path, variables: dict[str, str]) -> None:
        self.house = house
        self.home = home
        self.variables = variables
        self.worker: subprocess.Popen[bytes] | None = None

    def start(self, crash_at: str | None = None) -> None:
        given = {**os.environ, **self.variables}
        given.pop(crash.VARIABLE, None)
        if crash_at is not None:
            given[crash.VARIABLE] = crash_at
        with (self.home / "worker.log").open("ab") as log:
            self.worker = subprocess.Popen([sys.executable, "-m", "app.cli", "worker"], cwd=ROOT, env=given, stdout=log, stderr=log)

    def wait_for_death(self) -> int:
        assert self.worker is not None
        return self.worker.wait(PATIENCE)

    def kill(self) -> None:
        if self.worker is not None and self.worker.poll() is None:
            self.worker.kill()
            self.worker.wait()

    def keep_alive(self) -> None:
        """What `tidegate up` does for a part that ended by itself."""
        if self.worker is None or self.worker.poll() is not None:
            self.start()

    def customer(self, host: str) -> str:
        """A customer of the host whom the CRM knows, made good for anything."""
        known = self.house.rows(
            "select e.source_key as number from canonical.customer e join canonical.customer c on c.erp_number = e.source_key"
            " and c.source = 'salesforce' where e.source = :host and not e.order_block order by 1",
            host=host,
        )
        assert known, f"no customer of {host} is in yet"
        self.house.act("change_limit", customer=known[0].number, limit=900_000_000)
        return str(known[0].number)

    def new_order(self, host: str) -> str:
        """A contract within policy is activated; the number of its blocked order."""
        return str(self.house.act("activate_contract", customer=self.customer(host), value=1000)["order"])

    def releases(self) -> Counter[str]:
        """How often each order was released, by the ERPs' own log."""
        return Counter(str(write["key"]) for write in self.house.writes(action="release"))

    def until(self, ready: Callable[[], Any], what: str, seconds: float = PATIENCE) -> float:
        """Waits until `ready()`; returns how long that took."""
        began = time.monotonic()
        while not ready():
            if time.monotonic() - began > seconds:
                log = (self.home / "worker.log").read_text(errors="replace")[-3000:]
                raise AssertionError(f"{what} did not happen within {seconds:.0f} s\n{self.unfinished()}\n{log}")
            self.keep_alive()
            time.sleep(0.5)
        return time.monotonic() - began

    def unfinished(self) -> list[tuple[Any, ...]]:
        """What is still on its way."""
        return [
            tuple(row)
            for row in self.house.rows(
                "select 'effect', kind, state, count(*) from process.effect where state not in ('confirmed', 'obsolete') group by 1, 2, 3"
                " union all select 'event', type, state, count(*) from process.event where state = 'new' group by 1, 2, 3"
            )
        ]

    def drained(self) -> bool:
        return not self.unfinished()

    def assert_sound(self) -> None:
        """Every invariant holds, and no write was executed twice by the other systems' own log."""
        found = verify(self.house.database, DatabaseClock(self.house.database.engine))
        assert found == [], found
        assert {order: times for order, times in self.releases().items() if times > 1} == {}
        created = Counter(str(write["key"]) for write in self.house.writes(system="kyriba", action="create"))
        assert {reference: times for reference, times in created.items() if times > 1} == {}
        assert [write for write in self.house.writes() if write["duplicate_of"] is not None] == []


@pytest.fixture(scope="module")
def everything(postgres_servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Everything]:
    """A small world whose time goes on with the wall's, and a database of its own into which the first history was pulled."""
    home = tmp_path_factory.mktemp("everything")
    with cloned_database(postgres_servers, DEFAULT_VERSION) as url, sandbox.running(home / "box", customers=18, history_days=30) as box:
        engine = create(url, application="tidegate-test")
        house = furnish(engine, box)
        house.ask("/control/clock", {"rate": 1})
        with writing(engine) as conn:
            anchor(conn, house.tick(), 1.0, 3600)
        variables = {
            "TIDEGATE_HOME": str(home),
            "DATABASE_URL": url,
            "TIDEGATE_CONFIG": str(ROOT / "tidegate.toml"),
            **environment(box.manifest),
        }
        made = Everything(house, home, variables)
        made.start()
        try:
            made.until(lambda: _first_pulls_done(made), "the first pulls")
            yield made
        finally:
            made.kill()
            engine.dispose()


def _first_pulls_done(everything: Everything) -> bool:
    (row,) = everything.house.rows("select count(*) as all, count(*) filter (where last_success_at is null) as left from process.stream")
    return bool(row.all >= 20 and row.left == 0 and everything.drained())


def test_killed_again_and_again_each_effect_happens_once(everything: Everything) -> None:
    """The worker is killed (-9) at six steps one after another while orders arrive; at rest each order was released once and all adds up."""
    everything.kill()
    orders = []
    for at, step in enumerate(KILLS):
        orders.append(everything.new_order(HOSTS[at % len(HOSTS)]))
        everything.start(step)
        assert everything.wait_for_death() == -signal.SIGKILL, step
    everything.start()
    everything.until(lambda: set(orders) <= set(everything.releases()), "the release of every order")
    everything.until(everything.drained, "the end of all effects")
    assert {order: everything.releases()[order] for order in orders} == dict.fromkeys(orders, 1)
    everything.assert_sound()


def test_a_lost_answer_is_read_before_anything_is_sent_again(everything: Everything) -> None:
    """The ERP releases the order and the answer is lost: the outcome is read, the release is confirmed, and sent only once."""
    everything.keep_alive()
    everything.house.ask("/control/faults", {"system": "sap-apac", "kind": "drop_response_after_execute", "times": 1})
    order = everything.new_order("sap-apac")
    everything.until(lambda: everything.releases()[order], "the release")
    states = "select state from process.effect where kind = 'release_order' and object_key = :order"
    everything.until(lambda: [row.state for row in everything.house.rows(states, order=order)] == ["confirmed"], "the confirmation")
    assert everything.releases()[order] == 1
    everything.assert_sound()


def test_cut_off_from_the_database_it_comes_back(everything: Everything) -> None:
    """Every connection of the worker to Postgres is cut three times in the midst of its work; nothing is lost or done twice."""
    everything.keep_alive()
    orders = []
    for host in HOSTS:
        orders.append(everything.new_order(host))
        time.sleep(1.5)
        with everything.house.database.engine.connect() as conn:
            cut = conn.execute(
                sa.text(
                    "select count(pg_terminate_backend(pid)) from pg_stat_activity where datname = current_database()"
                    " and backend_type = 'client backend' and pid <> pg_backend_pid() and application_name <> 'tidegate-test'"
                )
            ).scalar_one()
        assert cut > 0
    everything.until(lambda: set(orders) <= set(everything.releases()), "the release of every order")
    everything.until(everything.drained, "the end of all effects")
    everything.assert_sound()


def test_a_dead_region_delays_no_other(everything: Everything) -> None:
    """With sap-na dead for good, an order of EMEA is released about as fast as before, and EMEA's streams go on succeeding."""
    everything.keep_alive()
    order = everything.new_order("sap-emea")
    before = everything.until(lambda: everything.releases()[order], "the release while all is well")
    everything.house.ask("/control/faults", {"system": "sap-na", "kind": "outage"})
    failing = "select count(*) as n from process.stream where connection = 'sap-na' and last_error is not null"
    everything.until(lambda: everything.house.rows(failing)[0].n >= 3, "sap-na's failure")
    order = everything.new_order("sap-emea")
    after = everything.until(lambda: everything.releases()[order], "the release beside a dead region")
    print(f"release of an order of EMEA: {before:.1f} s before, {after:.1f} s beside a dead region")
    assert after < max(3 * before, 60)
    (emea,) = everything.house.rows(
        "select count(*) filter (where last_error is not null) as bad from process.stream where connection = 'sap-emea'"
    )
    assert emea.bad == 0
