"""The exception queue's acts, cases and audit, as the pages' role submits them and the worker carries them out."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa

from db.clock import FixedClock
from db.engine import Scope, reading, writing
from sync import audit, exceptions, handlers, process_region
from sync.commands import AcknowledgeExceptions, AnyCommand, AssignExceptions, DismissExceptions, LinkCustomer, PauseConnection, ResolveCase
from sync.exception_filter import ExceptionFilter
from sync.exceptions import Failure
from sync.permissions import Forbidden
from sync.submission import Refused, submit
from tests.postgres.process_world import CRM, ERP, NOW, World, landscape, ready

EMEA = frozenset({"EMEA"})


@pytest.fixture
def world(engine: sa.Engine) -> World:
    return ready(engine)


def fail(world: World, key: str, *, region: str = "EMEA", cause: str = "bad_currency", now: Any = NOW) -> int:
    failure = Failure(
        cause=cause, kind="record", connection=ERP, region=region, message=f"invoice {key}", entity="invoice", source_key=key,
        field="currency", amount=Decimal(100), currency="EUR", evidence={"currency": "EURO"},
    )  # fmt: skip
    with writing(world.database.engine) as conn:
        return exceptions.record_exception(conn, failure, now=now, reporting_currency="EUR")


def act(
    world: World, command: AnyCommand, key: str, *, actor: str = "olga", scope: frozenset[str] | None = EMEA, reason: str = "why"
) -> Any:
    with writing(world.database.engine, Scope(scope, actor)) as conn:
        number = submit(conn, command, actor=actor, roles={"operator"}, scope_regions=scope, idempotency_key=key, reason=reason, now=NOW)
    handlers.run_command(world.database, landscape(), number, FixedClock(NOW))
    (row,) = world.rows("select state, outcome, total, done from process.command where id = :id", id=number)
    return row


def one(world: World, number: int) -> Any:
    (row,) = world.rows("select * from process.exception where id = :id", id=number)
    return row


def test_the_same_failure_twice_is_one_exception(world: World) -> None:
    """Occurrences are counted; another record of the same cause is another exception of the same group."""
    first = fail(world, "I1")
    assert fail(world, "I1") == first
    other = fail(world, "I2")
    assert one(world, first).occurrences == 2
    assert one(world, other).fingerprint == one(world, first).fingerprint
    assert one(world, first).money_at_risk_reporting == Decimal(100)
    assert one(world, first).due_at == NOW + timedelta(hours=4)


def test_acknowledge_assign_and_dismiss_a_filtered_set(world: World) -> None:
    """Acts take the whole frozen set at once; items say what became of each."""
    ids = [fail(world, f"I{n}") for n in range(5)]
    row = act(world, AcknowledgeExceptions(filter=ExceptionFilter(cause="bad_currency")), "a")
    assert (row.state, row.done, row.outcome["words"]) == ("done", 5, "5 acknowledged")
    act(world, AssignExceptions(ids=tuple(ids[:2]), owner="ben"), "b")
    assert [one(world, number).owner for number in ids[:3]] == ["ben", "ben", None]
    act(world, DismissExceptions(ids=(ids[0],), until=NOW + timedelta(days=1)), "c")
    assert one(world, ids[0]).state == "dismissed"


def test_dismissing_never_swallows_what_fails_later(world: World) -> None:
    """A dismissed exception stays quiet until its moment; a failure after it, or the moment itself, wakes it."""
    number = fail(world, "I1")
    act(world, DismissExceptions(ids=(number,), until=NOW + timedelta(hours=1)), "a")
    fail(world, "I1")
    assert one(world, number).state == "dismissed"
    fail(world, "I1", now=NOW + timedelta(hours=2))
    assert one(world, number).state == "new"
    act(world, DismissExceptions(ids=(number,), until=NOW + timedelta(hours=3)), "b")
    with writing(world.database.engine) as conn:
        assert exceptions.wake(conn, now=NOW + timedelta(hours=3)) == 1
    assert one(world, number).state == "new"


def test_resolved_and_back_is_regressed(world: World) -> None:
    """What comes back keeps the fix it came back from."""
    number = fail(world, "I1")
    with writing(world.database.engine) as conn:
        exceptions.resolve(conn, [number], now=NOW, resolution="currency corrected")
    fail(world, "I1")
    row = one(world, number)
    assert (row.state, row.regressed_from, row.resolved_at) == ("regressed", "currency corrected", None)


def test_an_act_stays_in_the_region_of_who_acts(world: World) -> None:
    """A filter selects only what row-level security shows; another region's exception can't be named either."""
    mine, theirs = fail(world, "I1"), fail(world, "I2", region="APAC")
    row = act(world, AcknowledgeExceptions(filter=ExceptionFilter()), "a")
    assert row.total == 1
    assert (one(world, mine).state, one(world, theirs).state) == ("acknowledged", "new")
    with pytest.raises(Refused):
        act(world, AcknowledgeExceptions(ids=(theirs,)), "b")
    with pytest.raises(Forbidden):
        act(world, PauseConnection(connection=ERP), "c", scope=frozenset({"APAC"}))


def test_a_reason_is_asked_for_where_it_matters(world: World) -> None:
    """Dismissing without words is refused, and nothing is filed."""
    number = fail(world, "I1")
    with pytest.raises(Refused, match="say why"):
        act(world, DismissExceptions(ids=(number,), until=NOW), "a", reason=" ")
    assert world.rows("select 1 from process.command") == []


def test_every_act_is_in_the_audit_log(world: World) -> None:
    """Who, when, why and what became of it, also for one item of many; the chain verifies."""
    number = fail(world, "I1")
    fail(world, "I2")
    act(world, AcknowledgeExceptions(filter=ExceptionFilter()), "a", reason="looking at it")
    with reading(world.database.engine) as conn:
        (line,) = audit.exception_history(conn, number)
        assert audit.verify(conn) == []
        heads = audit.heads(conn)
    assert (line.actor, line.action, line.reason, line.detail["outcome"]) == ("olga", "acknowledge", "looking at it", "acknowledged")
    assert set(heads) == {"EMEA"}


def tamper(world: World, statement: str) -> None:
    """What an owner of the table could do past its triggers."""
    off, on = (f"alter table governance.audit {word} trigger user" for word in ("disable", "enable"))
    world.write(lambda conn: [conn.execute(sa.text(step)) for step in (off, statement, on)])


def test_a_changed_audit_row_is_found(world: World) -> None:
    """Editing a row past its triggers, or cutting the tail, shows in verify or against an anchored head."""
    for number in range(3):
        fail(world, f"I{number}")
        act(world, AcknowledgeExceptions(filter=ExceptionFilter(state="new")), str(number))
    with reading(world.database.engine) as conn:
        heads = audit.heads(conn)
    tamper(world, "update governance.audit set actor = 'eve' where id = (select min(id) from governance.audit)")
    with reading(world.database.engine) as conn:
        assert [entry.words for entry in audit.verify(conn)] == ["the row is not what was written"]
    tamper(world, "delete from governance.audit where id = (select max(id) from governance.audit)")
    with reading(world.database.engine) as conn:
        assert [entry.words for entry in audit.check_heads(conn, heads)] == ["the log ends before a link that was anchored elsewhere"]


def held(world: World) -> int:
    world.blocked("512", "1000", "150000")
    process_region.run(world.database, landscape(), "EMEA", FixedClock(NOW))
    (case,) = world.rows('select id from process."case"')
    return int(case.id)


def test_an_approved_case_releases_with_its_approver(world: World) -> None:
    """Approval plans release and forecast under the person's name; the decision of the person stands beside the rule's."""
    number = held(world)
    row = act(world, ResolveCase(case_id=number, approve=True), "a", reason="prepaid")
    assert row.outcome["state"] == "approved"
    effects = world.rows("select kind, requested_by, approved_by, case_id from process.effect order by kind")
    assert {(e.requested_by, e.approved_by, e.case_id) for e in effects} == {("rule:order_to_cash", "olga", number)}
    assert [e.kind for e in effects] == ["publish_forecast", "release_order"]
    words = world.rows("select outcome, decided_by, reasons from process.decision order by id")
    assert [(w.outcome, w.decided_by) for w in words] == [("hold", "rule:order_to_cash"), ("approved", "olga")]
    with pytest.raises(Refused, match="approved already"):
        act(world, ResolveCase(case_id=number, approve=False), "b")


def test_a_rejected_case_plans_nothing(world: World) -> None:
    """A rejection closes the case with its reason and releases nothing."""
    act(world, ResolveCase(case_id=held(world), approve=False), "a", reason="no more credit")
    (case,) = world.rows('select state, closed_by, reason from process."case"')
    assert (case.state, case.closed_by, case.reason) == ("rejected", "olga", "no more credit")
    assert world.rows("select 1 from process.effect") == []


def test_an_order_released_meanwhile_makes_its_case_obsolete(world: World) -> None:
    """Approving what no longer waits writes nothing to the ERP."""
    number = held(world)
    world.order("512", "1000", "150000", blocked=False)
    row = act(world, ResolveCase(case_id=number, approve=True), "a")
    assert row.outcome["state"] == "obsolete"
    assert world.rows("select 1 from process.effect") == []


def test_whoever_asked_may_not_approve(world: World) -> None:
    """The requester of a case is never its approver, checked when filed and in the database itself."""
    number = held(world)
    world.write(lambda conn: conn.execute(sa.text("update process.\"case\" set opened_by = 'olga'")))
    with pytest.raises(Forbidden, match="can't approve"):
        act(world, ResolveCase(case_id=number, approve=True), "a")
    with pytest.raises(sa.exc.IntegrityError, match="four_eyes"):
        world.write(lambda conn: conn.execute(sa.text("update process.\"case\" set closed_by = 'olga'")))


def test_a_person_links_a_customer(world: World) -> None:
    """A confirmed link names who confirmed it and closes what waited for it."""
    world.write(lambda conn: conn.execute(sa.text("delete from canonical.identity_link where source = :crm"), {"crm": CRM}))
    row = act(world, LinkCustomer(source=CRM, source_key="0011000", party_id=world.parties["1000"]), "a", scope=None)
    assert row.state == "done"
    (link,) = world.rows("select confirmed_by, confidence from canonical.identity_link where source = :crm", crm=CRM)
    assert (link.confirmed_by, link.confidence) == ("olga", 1)
    assert act(world, LinkCustomer(source=CRM, source_key="nobody", party_id=1), "b", scope=None).state == "failed"


def test_a_connection_is_paused_and_resumed(world: World) -> None:
    """The streams say so, with the reason."""
    act(world, PauseConnection(connection=ERP), "a", reason="upgrade tonight")
    (stream,) = world.rows("select is_paused, paused_reason from process.stream")
    assert (stream.is_paused, stream.paused_reason) == (True, "upgrade tonight")
