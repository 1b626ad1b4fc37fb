"""A released order is blocked again only when one person asks and another approves; the rules then leave it to people."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from app.desk import DeskError, ExposureFilter, OrderKey, SalesOrder
from app.live import exposure, orders
from db.clock import FixedClock
from db.engine import reading, writing
from sync import delivery, effects, handlers, process_region
from sync.commands import AnyCommand, RequestOrderChange, ResolveCase
from sync.permissions import Forbidden
from sync.submission import submit
from tests.postgres.process_world import ERP, NOW, ScriptedTarget, World, landscape, ready


@pytest.fixture
def world(engine: sa.Engine) -> World:
    return ready(engine)


def act(world: World, command: AnyCommand, key: str, *, actor: str) -> Any:
    """The command as filed and carried out."""
    with writing(world.database.engine) as conn:
        number = submit(conn, command, actor=actor, roles={"operator"}, scope_regions=None, idempotency_key=key, reason="fraud", now=NOW)
    handlers.run_command(world.database, landscape(), number, FixedClock(NOW))
    (row,) = world.rows("select state, outcome from process.command where id = :id", id=number)
    return row


def test_one_asks_and_another_approves(world: World) -> None:
    """The request writes nothing; whoever asked can't approve; the approval plans one effect with both names, and it is delivered once."""
    world.order("512", "1000", "5000", blocked=False)
    asked = act(world, RequestOrderChange(source=ERP, order="512", change="block_order"), "a", actor="olga")
    again = act(world, RequestOrderChange(source=ERP, order="512", change="block_order"), "b", actor="olga")
    case = asked.outcome["case"]
    assert again.outcome["case"] == case
    assert world.rows("select 1 from process.effect") == []
    with pytest.raises(Forbidden, match="can't approve"):
        act(world, ResolveCase(case_id=case, approve=True), "c", actor="olga")
    assert act(world, ResolveCase(case_id=case, approve=True), "d", actor="piet").outcome["state"] == "approved"
    target = ScriptedTarget()
    delivery.run(world.database, landscape(), ERP, FixedClock(NOW), target=lambda *_: target)
    delivery.run(world.database, landscape(), ERP, FixedClock(NOW), target=lambda *_: target)
    assert target.log == [f"block:{ERP}:512:{case}"]
    [row] = world.rows("select requested_by, approved_by, state from process.effect")
    assert (row.requested_by, row.approved_by, row.state) == ("olga", "piet", "confirmed")
    words = world.rows("select outcome, decided_by from process.decision order by id")
    assert [(one.outcome, one.decided_by) for one in words] == [("hold", "olga"), ("approved", "piet")]


def test_the_rule_does_not_release_what_a_person_had_blocked(world: World) -> None:
    """The order shows as blocked again: within policy as it is, it is held for a person, and released at that person's word."""
    world.order("512", "1000", "5000", blocked=False)
    case = act(world, RequestOrderChange(source=ERP, order="512", change="block_order"), "a", actor="olga").outcome["case"]
    act(world, ResolveCase(case_id=case, approve=True), "b", actor="piet")
    delivery.run(world.database, landscape(), ERP, FixedClock(NOW), target=lambda *_: ScriptedTarget())
    world.blocked("512", "1000", "5000", version=2)
    process_region.run(world.database, landscape(), "EMEA", FixedClock(NOW))
    [held] = world.rows("select id, context from process.\"case\" where kind = 'credit_hold' and state = 'open'")
    assert held.context["codes"] == ["blocked_by_person"]
    assert world.rows("select 1 from process.effect where kind = 'release_order'") == []


def test_the_page_says_what_was_asked_of_which_order(world: World) -> None:
    """The case has a title, the reason, and an approval that does not promise a release."""
    world.order("512", "1000", "5000", blocked=False)
    act(world, RequestOrderChange(source=ERP, order="512", change="block_order"), "a", actor="olga")
    with reading(world.database.engine) as conn:
        [case] = exposure.answer(conn, landscape(), ExposureFilter(), now=NOW, known_at=None).cases
    assert (case.title, case.customer, case.reasons, case.approval) == ("Block order 512 again", "Customer 1000", ("fraud",), "Approve")
    assert (case.asked_by, case.order) == ("olga", OrderKey(ERP, "512"))


def test_a_rejected_request_changes_nothing(world: World) -> None:
    """The case is closed with its reason."""
    world.order("512", "1000", "5000", blocked=False)
    case = act(world, RequestOrderChange(source=ERP, order="512", change="reject_order"), "a", actor="olga").outcome["case"]
    assert act(world, ResolveCase(case_id=case, approve=False), "b", actor="piet").outcome["state"] == "rejected"
    assert world.rows("select 1 from process.effect") == []


def test_the_ledger_refuses_what_nobody_approved(world: World) -> None:
    """No code path plans such an effect by itself."""
    world.order("512", "1000", "5000", blocked=False)
    entry = effects.Plan("block:x:512:1", "block_order", ERP, "EMEA", "512", {}, 1, "rule:order_to_cash")
    with pytest.raises(ValueError, match="never automatic"), writing(world.database.engine) as conn:
        effects.plan(conn, [entry], now=NOW)
    with pytest.raises(Forbidden, match="not there"):
        act(world, RequestOrderChange(source=ERP, order="999", change="block_order"), "a", actor="olga")


def test_an_order_is_named_by_its_number_too(world: World) -> None:
    """What stands on the paper is enough: the case is about the record that the ERP calls by another key."""
    world.order("512", "1000", "5000", blocked=False)
    with writing(world.database.engine) as conn:
        conn.execute(sa.text("update canonical.sales_order set number = 'SO-512' where source_key = '512'"))
    case = act(world, RequestOrderChange(source=ERP, order="SO-512", change="block_order"), "a", actor="olga").outcome["case"]
    [row] = world.rows('select subject_key from process."case" where id = :id', id=case)
    assert row.subject_key == "512"


def test_the_page_of_an_order_tells_what_became_of_what_was_asked(world: World) -> None:
    """What may be asked, what waits for whom, and what the ERP has done stand beside the order, each as it comes."""
    world.order("512", "1000", "5000", blocked=False)

    def seen() -> SalesOrder:
        with reading(world.database.engine) as conn:
            return orders.order(conn, landscape(), OrderKey(ERP, "512"))

    assert [change.kind for change in seen().changes] == ["block_order", "approve_order", "reject_order"]
    case = act(world, RequestOrderChange(source=ERP, order="512", change="block_order"), "a", actor="olga").outcome["case"]
    [asked] = seen().requests
    assert (asked.case, asked.words, asked.asked_by, asked.reason) == (case, "Block order 512 again", "olga", "fraud")
    assert (asked.outcome, asked.settled) == ("waits for another person's approval", False)
    act(world, ResolveCase(case_id=case, approve=True), "b", actor="piet")
    assert seen().requests[0].outcome == f"approved by piet; on its way to {ERP}"
    delivery.run(world.database, landscape(), ERP, FixedClock(NOW), target=lambda *_: ScriptedTarget())
    assert (seen().requests[0].outcome, seen().requests[0].settled) == (f"approved by piet; done in {ERP}", True)
    other = act(world, RequestOrderChange(source=ERP, order="512", change="reject_order"), "c", actor="olga").outcome["case"]
    act(world, ResolveCase(case_id=other, approve=False), "d", actor="piet")
    assert (seen().requests[0].outcome, seen().requests[0].settled) == ("rejected by piet: fraud", True)


def test_a_blocked_order_is_not_offered_the_block_again(world: World) -> None:
    """Nor is an order anything whose system takes no change."""
    world.blocked("512", "1000", "5000")
    with reading(world.database.engine) as conn:
        assert [change.kind for change in orders.order(conn, landscape(), OrderKey(ERP, "512")).changes] == [
            "approve_order",
            "reject_order",
        ]
        with pytest.raises(DeskError, match="no order 999"):
            orders.order(conn, landscape(), OrderKey(ERP, "999"))


def test_the_decisions_name_the_order_and_who_decided(world: World) -> None:
    """What a person asked and another one approved stands beside what rules decided."""
    world.order("512", "1000", "5000", blocked=False)
    case = act(world, RequestOrderChange(source=ERP, order="512", change="block_order"), "a", actor="olga").outcome["case"]
    act(world, ResolveCase(case_id=case, approve=True), "b", actor="piet")
    with reading(world.database.engine) as conn:
        rows = exposure.answer(conn, landscape(), ExposureFilter(), now=NOW, known_at=None).decisions.rows(named=True)
    assert [(row["subject"], row["source"], row["order_key"], row["outcome"], row["decided_by"]) for row in rows] == [
        ("Order 512", ERP, "512", "approved", "piet"),
        ("Order 512", ERP, "512", "hold", "olga"),
    ]
