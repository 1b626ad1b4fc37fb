"""The effect ledger and delivery: once, in order, read before any retry."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from db.clock import FixedClock
from db.engine import reading, writing
from sync import delivery, effects, process_region
from sync.canonical.causes import CAUSES
from sync.connections import Connection, Landscape
from sync.delivery import Delivered
from sync.effects import Plan
from sync.errors import AuthError, ConflictError, PermanentError, QuotaError, SourceError, TransientError, UnknownOutcome
from sync.ports import Order, Receipt
from tests.postgres.process_world import CRM, ERP, NOW, ScriptedTarget, World, landscape, ready

KEY = f"release:{ERP}:512:1"


@pytest.fixture
def world(engine: sa.Engine) -> World:
    """One release planned by the rules, its forecast left aside."""
    found = ready(engine)
    found.blocked("512", "1000", "40000")
    process_region.run(found.database, landscape(), "EMEA", FixedClock(NOW))
    return found


def run(world: World, target: ScriptedTarget, connection: str = ERP) -> Delivered:
    def opened(_connection: Connection, _landscape: Landscape) -> ScriptedTarget:
        return target

    return delivery.run(world.database, landscape(), connection, FixedClock(NOW), target=opened)


def state(world: World, key: str = KEY) -> Any:
    (row,) = world.rows("select state, attempts, error_kind, error from process.effect where effect_key = :key", key=key)
    return row


def soon(world: World) -> None:
    """Everything that was put off is due now."""
    world.write(lambda conn: conn.execute(sa.text("update process.effect set next_attempt_at = null")))


def test_a_planned_effect_is_sent_once_and_confirmed(world: World) -> None:
    """Delivery confirms the effect with the target's receipt; a second run finds nothing to do."""
    target = ScriptedTarget()
    assert run(world, target).confirmed == 1
    assert run(world, target) == Delivered(ERP)
    assert target.log == [KEY]
    assert state(world).state == "confirmed"
    assert target.orders[0].payload["order"] == "512"
    assert target.orders[0].payload["reference"] == KEY


def test_thirty_two_claims_have_one_winner(world: World) -> None:
    """Of 32 concurrent claims of one effect exactly one wins."""
    (effect,) = world.rows("select id from process.effect where effect_key = :key", key=KEY)
    barrier, won = threading.Barrier(32), []

    def claim() -> None:
        barrier.wait()
        with writing(world.database.engine) as conn:
            if effects.claim(conn, effect.id, now=NOW) is not None:
                won.append(1)

    engine = world.database.engine
    big = sa.create_engine(engine.url, pool_size=32)
    world.database.engine = big
    threads = [threading.Thread(target=claim) for _ in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    big.dispose()
    world.database.engine = engine
    assert len(won) == 1


def test_concurrent_deliveries_send_once(world: World) -> None:
    """Eight deliveries of one connection at once execute each effect exactly once."""
    target = ScriptedTarget()
    threads = [threading.Thread(target=run, args=(world, target)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert target.log == [KEY]


def test_an_unknown_outcome_is_read_before_any_retry(world: World) -> None:
    """A write that left without an answer is looked up; it was executed, so it is confirmed and not sent again."""
    target = ScriptedTarget(script=[(UnknownOutcome("no answer"), True)])
    assert run(world, target).unknown == 1
    soon(world)
    assert run(world, target).confirmed == 1
    assert (target.log, target.reads) == ([KEY], 1)


def test_an_unknown_outcome_that_did_not_happen_is_sent_again(world: World) -> None:
    """When reading shows that the write is absent it is sent once more, under the same key."""
    target = ScriptedTarget(script=[(UnknownOutcome("no answer"), False)])
    run(world, target)
    soon(world)
    assert run(world, target).confirmed == 1
    assert (target.log, target.reads) == ([KEY], 1)


def test_an_error_that_no_adapter_knows_is_unknown_too(world: World) -> None:
    """A bug while sending counts as unknown, since nobody can say whether the write left."""
    target = ScriptedTarget(script=[(RuntimeError("bug"), True)])
    run(world, target)
    assert state(world).state == "unknown"
    soon(world)
    run(world, target)
    assert target.log == [KEY]


def test_what_can_not_be_read_stays_unknown_and_becomes_an_exception(world: World) -> None:
    """After some unreadable tries a person is told; the effect is still looked up, and its exception closes when it is confirmed."""
    target = ScriptedTarget(script=[(UnknownOutcome("no answer"), True)], unreadable=[TransientError("down")] * 5)
    for _ in range(6):
        soon(world)
        run(world, target)
    (item,) = world.rows("select cause, state from process.exception")
    assert (item.cause, item.state) == ("effect_unknown", "new")
    soon(world)
    run(world, target)
    (item,) = world.rows("select state from process.exception")
    assert (item.state, target.log) == ("resolved", [KEY])


def test_a_limit_that_names_no_end_fails_nothing(world: World) -> None:
    """The system's calls are used up for longer than five tries last: the write waits, and goes out once there are calls again."""
    target = ScriptedTarget(script=[(QuotaError("TotalRequests Limit exceeded."), False)] * 7)
    for _ in range(7):
        soon(world)
        run(world, target)
    assert (state(world).state, state(world).error_kind) == ("planned", "quota")
    assert world.rows("select 1 from process.exception") == []
    assert run(world, target) == Delivered(ERP)
    soon(world)
    assert run(world, target).confirmed == 1


def test_a_transient_error_is_planned_again_and_the_run_stops(world: World) -> None:
    """A dead target gets one call per run; the effect waits for its next moment."""
    target = ScriptedTarget(script=[(TransientError("503"), False)] * 9)
    assert run(world, target).again == 1
    assert run(world, target) == Delivered(ERP)
    assert state(world).state == "planned"


def test_a_transient_error_gives_up_after_five_tries(world: World) -> None:
    """After five tries the effect failed and a person sees it with its money at risk."""
    target = ScriptedTarget(script=[(TransientError("503"), False)] * 5)
    for _ in range(5):
        soon(world)
        run(world, target)
    assert (state(world).state, state(world).attempts) == ("failed", 5)
    (item,) = world.rows("select id, cause, hint, money_at_risk, currency, severity from process.exception")
    assert (item.cause, str(item.money_at_risk), item.currency, item.severity) == ("effect_undelivered", "40000.0000", "EUR", "critical")
    assert "It did not happen" in item.hint
    assert "refused" not in CAUSES[item.cause].title


def test_an_outage_that_turns_out_a_refusal_is_one_exception(world: World) -> None:
    """Sent again once the system is back, and refused then: the refusal stands open, the outage does not, and the money counts once."""
    target = ScriptedTarget(script=[*[(TransientError("503"), False)] * 5, (PermanentError("no such field"), False)])
    for _ in range(5):
        soon(world)
        run(world, target)
    (effect,) = world.rows(f"select id from process.effect where effect_key = '{KEY}'")
    world.write(lambda conn: effects.retry(conn, [effect.id]))
    run(world, target)
    found = world.rows("select cause, state from process.exception order by id")
    assert [tuple(each) for each in found] == [("effect_undelivered", "resolved"), ("effect_failed", "new")]


@pytest.mark.parametrize("error", [PermanentError("no such field"), AuthError("refused")])
def test_a_refusal_is_a_persons_at_once(world: World, error: Exception) -> None:
    """What the target refuses for good is not tried again by itself."""
    run(world, ScriptedTarget(script=[(error, False)]))
    assert state(world).state == "failed"
    assert len(world.rows("select 1 from process.exception where cause = 'effect_failed'")) == 1


def test_a_conflict_goes_back_to_the_decision(world: World) -> None:
    """412: the order changed in the ERP; the rules decide again on what it is now and plan the same key again."""
    target = ScriptedTarget(script=[(ConflictError("412"), False)])
    run(world, target)
    assert state(world).error_kind == "conflict"
    process_region.run(world.database, landscape(), "EMEA", FixedClock(NOW))
    assert state(world).state == "planned"
    assert run(world, target).confirmed == 1
    assert target.log == [KEY]


def test_a_conflict_of_an_order_released_elsewhere_ends_there(world: World) -> None:
    """When the order no longer waits, deciding again plans nothing."""
    run(world, ScriptedTarget(script=[(ConflictError("412"), False)]))
    world.order("512", "1000", "40000", blocked=False)
    process_region.run(world.database, landscape(), "EMEA", FixedClock(NOW))
    assert state(world).state == "failed"


def collections_plan(version: int) -> Plan:
    return Plan(
        effect_key=f"collections:{CRM}:1000:{version}",
        kind="update_collections",
        connection=CRM,
        region="EMEA",
        object_key="1000",
        payload={"customer_number": "1000", "status": "current", "overdue_amount": "0", "currency": "EUR", "version": version},
        decision_id=1,
        requested_by="rule:collections",
    )


def test_an_older_statement_never_follows_a_newer_one(world: World) -> None:
    """Of two collection updates that wait for one account only the newer one is sent; the older is settled as superseded."""
    with writing(world.database.engine) as conn:
        effects.plan(conn, [collections_plan(1), collections_plan(2)], now=NOW)
    target = ScriptedTarget()
    run(world, target, CRM)
    assert target.log == [f"collections:{CRM}:1000:2"]
    assert state(world, f"collections:{CRM}:1000:1").error_kind == "superseded"
    assert world.rows("select 1 from process.exception") == []


def test_one_object_waits_for_its_earlier_write(world: World) -> None:
    """While an earlier write on an object is unknown, a later one on it waits, and others do not."""
    with writing(world.database.engine) as conn:
        effects.plan(conn, [collections_plan(1)], now=NOW)
    target = ScriptedTarget(script=[(UnknownOutcome("no answer"), True)])
    run(world, target, CRM)
    with writing(world.database.engine) as conn:
        effects.plan(conn, [collections_plan(2)], now=NOW)
    run(world, target, CRM)
    assert target.log == [f"collections:{CRM}:1000:1"]
    soon(world)
    run(world, target, CRM)
    run(world, target, CRM)
    assert target.log == [f"collections:{CRM}:1000:1", f"collections:{CRM}:1000:2"]


def test_a_ledger_row_is_never_deleted(world: World) -> None:
    """The database itself refuses to delete from the ledger."""
    with pytest.raises(sa.exc.DBAPIError, match="append-only"):
        world.write(lambda conn: conn.execute(sa.text("delete from process.effect")))


def test_the_same_plan_twice_is_one_row(world: World) -> None:
    """Planning a confirmed effect again changes nothing."""
    run(world, ScriptedTarget())
    with writing(world.database.engine) as conn:
        (row,) = conn.execute(sa.text("select * from process.effect where effect_key = :key"), {"key": KEY}).mappings()
        names = [name for name in Plan.__slots__ if name != "payload"]
        effects.plan(conn, [Plan(**{name: row[name] for name in names}, payload={})], now=NOW)
    assert state(world).state == "confirmed"
    with reading(world.database.engine) as conn:
        assert ERP not in effects.connections_due(conn)


class BatchingTarget(ScriptedTarget):
    """A target of several orders a call; `refused` says for which objects a write fails, and how."""

    batch_max = 3

    def __init__(self, refused: dict[str, Exception] | None = None) -> None:
        super().__init__()
        self.refused = refused or {}
        self.calls: list[list[str]] = []
        self.whole: Exception | None = None

    def apply_many(self, orders: Sequence[Order]) -> Sequence[Receipt | SourceError]:
        self.calls.append([order.object_key for order in orders])
        if self.whole is not None:
            raise self.whole
        return [self._one(order) for order in orders]

    def _one(self, order: Order) -> Any:
        return self.refused[order.object_key] if order.object_key in self.refused else self.apply(order)


def _many(world: World, *customers: str) -> None:
    plans = [replace(collections_plan(3), object_key=each, effect_key=f"collections:{CRM}:{each}:3") for each in customers]
    world.write(lambda conn: effects.plan(conn, plans, now=NOW))


def test_several_effects_go_with_one_call_and_each_has_its_own_fate(world: World) -> None:
    """Confirmed, failed, put off: told apart; no more than the target takes at once; nothing twice."""
    _many(world, "1", "2", "3", "4")
    target = BatchingTarget({"2": PermanentError("no such account"), "3": UnknownOutcome("lost")})
    done = run(world, target, CRM)
    assert target.calls == [["1", "2", "3"]]
    assert (done.confirmed, done.failed, done.unknown) == (2, 1, 1)
    soon(world)
    target.refused = {}
    assert run(world, target, CRM).confirmed == 1
    assert target.reads == 1
    assert sorted(target.log) == [f"collections:{CRM}:{customer}:3" for customer in ("1", "3", "4")]


def test_a_call_that_is_lost_leaves_all_its_effects_unknown(world: World) -> None:
    """No answer to the one call: every effect of it is looked up before it is tried again."""
    _many(world, "1", "2")
    target = BatchingTarget()
    target.whole = UnknownOutcome("no answer")
    assert run(world, target, CRM).unknown == 2
    soon(world)
    target.whole = None
    assert run(world, target, CRM).confirmed == 2
    assert target.reads == 2
