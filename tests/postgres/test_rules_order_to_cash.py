"""The scenario that the project exists for, on real Postgres: from an approved contract to a release, or to a person."""

from __future__ import annotations

import threading
from datetime import date, timedelta

import pytest
import sqlalchemy as sa

from db.clock import FixedClock
from db.engine import reading
from sync import process_region
from sync.process_region import Processed
from tests.postgres.process_world import ERP, NOW, TREASURY, World, landscape, ready


@pytest.fixture
def world(engine: sa.Engine) -> World:
    return ready(engine)


def run(world: World, *, batch: int = 100) -> Processed:
    return process_region.run(world.database, landscape(), "EMEA", FixedClock(NOW), batch=batch)


def effects(world: World, kind: str = "release_order") -> list[str]:
    return [row.effect_key for row in world.rows("select effect_key from process.effect where kind = :kind order by id", kind=kind)]


def codes(world: World) -> list[str]:
    rows = world.rows("select reasons from process.decision where outcome = 'hold' order by id")
    return [reason.partition(":")[0] for row in rows for reason in row.reasons]


def test_within_policy_the_order_is_released_and_treasury_told(world: World) -> None:
    """A blocked order within the limit leads to one release, one forecast, one delivery job each, and no case."""
    world.blocked("512", "1000", "40000")
    done = run(world)
    assert (done.released, done.held) == (1, 0)
    assert effects(world) == [f"release:{ERP}:512:1"]
    assert effects(world, "publish_forecast") == [f"forecast:{TREASURY}:order:{ERP}:512:1"]
    jobs = world.rows("select args ->> 'connection' as c from procrastinate_jobs where task_name = 'deliver_effects' order by 1")
    assert [job.c for job in jobs] == [TREASURY, ERP]
    assert world.rows('select 1 from process."case"') == []


def test_a_decision_keeps_every_input(world: World) -> None:
    """The stored inputs hold the limit, the exposure sums, the order and the policy that were looked at."""
    world.blocked("512", "1000", "40000")
    run(world)
    (decision,) = world.rows("select * from process.decision")
    assert decision.rule_version == "1"
    assert decision.inputs["party"]["limits"][0]["amount"] == "100000.0000"
    assert decision.inputs["order"]["net_value"] == "40000.0000"
    assert decision.inputs["terms"]["max_utilisation"] == "1.00"


def test_beyond_the_limit_a_person_decides(world: World) -> None:
    """An order above the limit becomes one open case with its numbers, and nothing is planned."""
    world.blocked("512", "1000", "100000.01")
    assert run(world).held == 1
    (case,) = world.rows('select * from process."case"')
    assert (case.state, case.kind, case.subject_key, case.opened_by) == ("open", "credit_hold", "512", "rule:order_to_cash")
    assert case.context["codes"] == ["over_limit"]
    assert effects(world) == []


@pytest.mark.parametrize(
    ("limit", "code"),
    [(None, "limit_none"), ("0", "limit_zero")],
)
def test_no_limit_is_never_released(world: World, limit: str | None, code: str) -> None:
    """Without a limit, or with a limit of zero, an order waits for a person."""
    world.customer("2000", limit)
    world.blocked("600", "2000", "10")
    run(world)
    assert codes(world) == [code]


def test_expired_or_blocked_limits_are_never_released(world: World) -> None:
    """An expired limit and a blocked credit account both hold the order, each in its own words."""
    for key, columns in (("2000", {"valid_to": date(2026, 3, 1)}), ("3000", {"is_blocked": True})):
        world.customer(key)
        world.write(
            lambda conn, key=key, columns=columns: conn.execute(  # type: ignore[misc]
                sa.text(
                    f"update canonical.credit_limit set {', '.join(f'{name} = :{name}' for name in columns)} where customer_key = :key"
                ),
                {"key": key, **columns},
            )
        )
        world.blocked(f"6{key}", key, "10")
    run(world)
    assert codes(world) == ["limit_expired", "limit_blocked"]


def test_a_currency_without_a_rate_is_never_released(world: World) -> None:
    """An order in a currency that no rate is known for is held, not guessed."""
    world.blocked("512", "1000", "10", currency="USD")
    run(world)
    assert codes(world) == ["no_rate"]


def test_an_unknown_customer_waits_and_is_then_held(world: World) -> None:
    """A missing fact is waited for, and after five tries a person decides; it is never released."""
    world.blocked("512", "9999", "10")
    assert run(world).waiting == 1
    for _ in range(5):
        world.write(lambda conn: conn.execute(sa.text("update process.event set next_attempt_at = null")))
        run(world)
    assert codes(world) == ["unknown_customer"]
    assert effects(world) == []


def test_stale_inputs_are_waited_for(world: World) -> None:
    """When the ERP was last complete too long ago nothing is decided; once it is fresh again the order is released."""
    world.fresh(NOW - timedelta(days=3))
    world.blocked("512", "1000", "10")
    assert run(world).waiting == 1
    world.fresh()
    world.write(lambda conn: conn.execute(sa.text("update process.event set next_attempt_at = null")))
    assert run(world).released == 1


def test_overdue_and_slow_payers_go_to_a_person(world: World) -> None:
    """Too large a share overdue, and a median beyond the policy, both hold."""
    for number in range(3):
        world.invoice(f"9{number}", "1000", "100", due=date(2025, 12, 1), paid_on=date(2026, 1, 20))
    world.invoice("99", "1000", "5000", due=date(2026, 1, 15))
    world.blocked("512", "1000", "10")
    run(world)
    assert set(codes(world)) == {"overdue", "slow_payer"}


def test_the_contract_and_the_order_in_either_order_release_once(world: World) -> None:
    """contract.approved and order.blocked lead to the same release key, whichever comes first and however often."""
    world.contract("C-2", "1000", status="in_approval")
    world.blocked("512", "1000", "10", contract="C-2")
    run(world)
    assert codes(world) == ["contract_not_active"]
    world.contract("C-2", "1000")
    world.event("contract.approved", "salesforce", "800C-2", "contract:C-2")
    run(world)
    world.event("contract.approved", "salesforce", "800C-2", "contract:C-2", version=2)
    run(world)
    assert effects(world) == [f"release:{ERP}:512:1"]
    (case,) = world.rows('select state from process."case"')
    assert case.state == "obsolete"


def test_two_orders_at_the_limit_in_one_batch(world: World) -> None:
    """Of two orders that fit the limit only one at a time, exactly one is released."""
    world.blocked("512", "1000", "60000")
    world.blocked("513", "1000", "60000")
    done = run(world)
    assert (done.released, done.held) == (1, 1)


def test_two_orders_at_the_limit_in_two_batches(world: World) -> None:
    """A release that the ERP does not show yet counts against the next order; once it shows, it counts as an open order."""
    world.blocked("512", "1000", "60000")
    assert run(world, batch=1).released == 1
    world.blocked("513", "1000", "60000")
    assert run(world, batch=1).held == 1
    world.order("512", "1000", "60000", blocked=False)
    world.blocked("514", "1000", "60000")
    assert run(world, batch=1).held == 1


def test_concurrent_workers_at_the_limit(world: World) -> None:
    """Eight workers deciding eight orders at once release exactly the one that fits."""
    for number in range(8):
        world.blocked(str(520 + number), "1000", "60000")
    workers = [threading.Thread(target=run, args=(world,), kwargs={"batch": 1}) for _ in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(effects(world)) == 1
    assert world.rows("select count(*) as n from process.event where state <> 'handled'")[0].n == 0


def test_a_new_block_is_a_new_episode(world: World) -> None:
    """After a confirmed release, a newer block of the same order may be released again, under a new key."""
    world.blocked("512", "1000", "10")
    run(world)
    world.write(lambda conn: conn.execute(sa.text("update process.effect set state = 'confirmed'")))
    world.blocked("512", "1000", "10", version=2)
    run(world)
    assert effects(world) == [f"release:{ERP}:512:1", f"release:{ERP}:512:2"]


def test_a_raised_limit_settles_the_open_case(world: World) -> None:
    """When the limit of a held customer is raised, the order is decided again and its case closes by itself."""
    world.blocked("512", "1000", "150000")
    run(world)
    world.write(lambda conn: conn.execute(sa.text("update canonical.credit_limit set limit_amount = 200000")))
    world.event("credit_limit.changed", ERP, "1000", f"customer:{ERP}:1000")
    assert run(world).released == 1
    (case,) = world.rows('select state, reason from process."case"')
    assert case.state == "obsolete"
    assert case.reason.startswith("exposure")


def test_a_poison_event_leaves_after_five_tries(world: World) -> None:
    """An event whose rule raises becomes an exception after five tries; its neighbours are decided at once."""
    world.write(
        lambda conn: conn.execute(
            sa.text(
                "insert into measure.breach (party_id, region, opened_at, currency, peak, latest) values (1, 'EMEA', now(), 'EUR', 1, 1)"
            )
        )
    )
    poison = world.event("exposure.breached", "tidegate", "1", data={"party_id": "not a number"})
    world.blocked("512", "1000", "10")
    done = run(world)
    assert (done.released, done.failed) == (1, 1)
    for _ in range(4):
        world.write(lambda conn: conn.execute(sa.text("update process.event set next_attempt_at = null")))
        run(world)
    (event,) = world.rows("select state, attempts from process.event where id = :id", id=poison)
    assert (event.state, event.attempts) == ("failed", 5)
    (item,) = world.rows("select cause, event_id from process.exception")
    assert (item.cause, item.event_id) == ("rule_failed", poison)


def test_regions_with_work_are_found(world: World) -> None:
    """A sweep sees the regions that have an event due, and none after it was handled."""
    world.blocked("512", "1000", "10")
    with reading(world.database.engine) as conn:
        assert process_region.regions_due(conn) == ["EMEA"]
    run(world)
    with reading(world.database.engine) as conn:
        assert process_region.regions_due(conn) == []
