"""Salesforce's other ways into a real Postgres: a bulk job taken up by another process, what was purged, what a webhook named."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

import sandbox
from db.clock import FixedClock
from db.engine import Database, reading, writing
from sandbox import Running
from sync import hints, streams, tasks
from sync.connections import Connection
from sync.doors import Hint
from sync.pull import PullResult, pull_stream
from sync.systems.registry import system
from tests.contracts.suite_sandbox import LANDSCAPE, Dial, connection_to

STREAM = "opportunities"


@pytest.fixture
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with sandbox.running(tmp_path_factory.mktemp("sandbox"), customers=12, history_days=60) as running:
        yield running


@pytest.fixture
def dial(box: Running) -> Iterator[Dial]:
    dial = Dial(box)
    yield dial
    dial.close()


@pytest.fixture
def org(box: Running, monkeypatch: pytest.MonkeyPatch) -> Connection:
    return connection_to(box, "salesforce", "salesforce", monkeypatch, "client_id", "client_secret", settle_seconds=0, deleted_minutes=0)


def _database(engine: sa.Engine) -> Database:
    return Database(engine, engine.url.render_as_string(hide_password=False), None)


def _pull(engine: sa.Engine, box: Running, org: Connection, *, later: timedelta = timedelta()) -> PullResult:
    """One pull by a process that knows nothing of the ones before."""
    source = system(org).make_source(org, LANDSCAPE)
    try:
        clock = FixedClock(box.world.now + later)
        return pull_stream(_database(engine), org, LANDSCAPE, source, STREAM, clock=clock, trigger="test")
    finally:
        source.close()


def _live(engine: sa.Engine) -> set[str]:
    with reading(engine) as conn:
        return set(conn.scalars(sa.text("select source_key from canonical.opportunity where not is_deleted")))


def test_a_bulk_job_goes_on_in_another_process(engine: sa.Engine, box: Running, dial: Dial, org: Connection) -> None:
    """Preparing is a state of the stream, not a failure; each pull is another process, and the facts are the org's at the end."""
    dial.fault("salesforce", "page_size", size=9)
    bulky = org.model_copy(update={"options": {**org.options, "bulk_from": 10}})
    results = [_pull(engine, box, bulky)]
    assert (results[0].state, results[0].pages) == ("preparing", 0)
    with reading(engine) as conn:
        row = conn.execute(
            sa.text("select preparing, cursor->'job'->>'id' as job from process.stream where stream = :s"), {"s": STREAM}
        ).one()
        assert row.job in row.preparing
        assert not streams.known(conn, org.name, STREAM).live_since
    while results[-1].state == "preparing" and len(results) < 200:
        results.append(_pull(engine, box, bulky))
    assert results[-1].state == "done"
    assert _live(engine) == set(box.world.opportunities)
    assert sum(result.counts.promoted for result in results) == len(box.world.opportunities)
    with reading(engine) as conn:
        assert conn.scalar(sa.text("select count(*) from process.exception")) == 0


def test_what_was_purged_is_found_by_its_id(engine: sa.Engine, box: Running, org: Connection) -> None:
    """A deal that vanished without a trace is deleted here a week later, with its last amount; half of them vanishing is doubted."""
    assert _pull(engine, box, org).state == "done"
    gone = box.world.opportunities.pop(next(iter(box.world.opportunities)))
    assert _pull(engine, box, org).state == "done"
    assert gone.id in _live(engine)
    assert _pull(engine, box, org, later=timedelta(days=8)).state == "done"
    assert _live(engine) == set(box.world.opportunities)
    with reading(engine) as conn:
        row = conn.execute(sa.text("select is_deleted, amount from canonical.opportunity where source_key = :key"), {"key": gone.id}).one()
    assert (row.is_deleted, row.amount) == (True, gone.amount)
    for key in list(box.world.opportunities)[: len(box.world.opportunities) // 2]:
        del box.world.opportunities[key]
    before = _live(engine)
    assert _pull(engine, box, org, later=timedelta(days=16)).state == "done"
    assert _live(engine) == before
    with reading(engine) as conn:
        assert conn.scalars(sa.text("select cause from process.exception")).all() == ["many_gone"]


def _shop(engine: sa.Engine, box: Running, org: Connection) -> tasks.Shop:
    return tasks.Shop(_database(engine), LANDSCAPE.model_copy(update={"connections": (org,)}), FixedClock(box.world.now))


def _note(engine: sa.Engine, box: Running, org: Connection, *noted: Hint) -> None:
    with writing(engine) as conn:
        hints.note(conn, org, [(1, noted)], now=box.world.now)


def _amounts(engine: sa.Engine) -> dict[str, Any]:
    with reading(engine) as conn:
        return dict(conn.execute(sa.text("select source_key, amount from canonical.opportunity where not is_deleted")).tuples().all())


def test_what_a_webhook_names_is_read_at_once(engine: sa.Engine, box: Running, org: Connection) -> None:
    """A record whose stamp did not move, and one that is gone: the hint reads both, and is settled."""
    shop = _shop(engine, box, org)
    assert tasks.pull(shop, org.name, STREAM, "clock").state == "done"
    changed, purged = list(box.world.opportunities.values())[:2]
    changed.amount += 7
    del box.world.opportunities[purged.id]
    assert tasks.pull(shop, org.name, STREAM, "webhook").state == "done"
    assert _amounts(engine)[changed.id] == changed.amount - 7
    _note(engine, box, org, Hint(STREAM, (changed.id, purged.id)), Hint("accounts", ("0015g00000AAAAAAA1",)))
    assert tasks.pull(shop, org.name, STREAM, "webhook").state == "done"
    shop.close()
    amounts = _amounts(engine)
    assert amounts[changed.id] == changed.amount
    assert purged.id not in amounts
    with reading(engine) as conn:
        assert hints.open_hints(conn, org.name, STREAM).ids == ()


def test_an_overflow_reads_everything_again(engine: sa.Engine, box: Running, org: Connection) -> None:
    """A sender that lost count has the stream read from its beginning, also what moved no stamp."""
    shop = _shop(engine, box, org)
    tasks.pull(shop, org.name, STREAM, "clock")
    oldest = min(box.world.opportunities.values(), key=lambda deal: deal.changed_at)
    oldest.amount += 9
    _note(engine, box, org, Hint(STREAM, whole=True))
    assert tasks.pull(shop, org.name, STREAM, "webhook").state == "done"
    shop.close()
    assert _amounts(engine)[oldest.id] == oldest.amount
