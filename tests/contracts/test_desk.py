"""What every Desk keeps, the invented one and the live one alike."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, timedelta
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
import sqlalchemy as sa

from app.desk import CashFilter, Desk, DeskError, ExceptionFilter, ExposureFilter, Intent, NotAllowed, OrderKey, Person, ReceivablesFilter
from app.fake import FakeDesk
from app.live import LiveDesk
from app.sign_in import LOCAL_GRANTS, PERSONAS, granted
from db.engine import writing
from tests.postgres.api_house import NOW, ApiHouse, furnish
from tests.postgres.metrics_facts import Facts

DeskOf = Callable[[str], Desk]
COHORTS = {"week", "p50", "p90", "p95", "invoices", "cleared", "settled_share", "group"}
BREAKDOWN = {"key", "name", "invoices", "p50", "p90", "p95", "late_share", "open", "overdue"}
AGING = {"bucket", "amount", "disputed", "count"}
SURVIVAL = {"day", "share_paid", "share_amount_paid"}
INVOICES = {"number", "customer", "legal_entity", "region", "issue_date", "due_date", "cleared_on", "gross", "open_amount", "currency", "days_to_pay",
            "is_disputed", "raw_record_id"}  # fmt: skip
POSITIONS = {"account", "legal_entity", "region", "currency", "amount", "amount_reporting", "as_of_date", "balance_type", "source"}
ITEMS = {"number", "customer", "expected", "actual", "amount", "cause", "connection", "late_by", "raw_record_id"}
CUSTOMERS = {"party_id", "number", "name", "region", "exposure", "credit_limit", "utilisation", "limit_state", "overdue", "open_orders", "open_receivables",
             "undelivered_contracts", "secured"}  # fmt: skip
BREACHES = {"party_id", "name", "region", "opened_at", "cleared_at", "peak", "latest", "limit_amount"}
DECISIONS = {
    "id",
    "decided_at",
    "subject",
    "customer",
    "outcome",
    "amount",
    "currency",
    "rule",
    "reasons",
    "region",
    "decided_by",
    "source",
    "order_key",
}
CHANGES = {"block_order", "approve_order", "reject_order"}


@pytest.fixture(params=["fake", "fake-empty", "live"])
def desk_of(request: pytest.FixtureRequest) -> DeskOf:
    """Makes the desk of a persona: invented, invented with nothing in it, and the live one over a database of the test's own."""
    if request.param == "live":
        return live_desks(request.getfixturevalue("engine"), request.getfixturevalue("tmp_path"))
    mood = "empty" if request.param == "fake-empty" else "full"
    made: dict[str, Desk] = {}

    def of(persona: str) -> Desk:
        return made.setdefault(persona, FakeDesk(mood, persona))  # type: ignore[arg-type]

    return of


def live_desks(engine: sa.Engine, folder: Path) -> DeskOf:
    """The desks of the local personas over a database with customers, invoices and exceptions of two regions."""
    furnish(engine)
    held_orders(engine)
    told(engine)
    office = ApiHouse(engine, folder).office

    def of(persona: str) -> Desk:
        claims = PERSONAS[persona]
        given = granted(claims["groups"], LOCAL_GRANTS)
        regions = None if "*" in given.regions else frozenset(given.regions)
        return LiveDesk(office, Person(persona, str(claims["name"]), str(claims["email"]), frozenset(given.roles), regions))

    return of


def told(engine: sa.Engine) -> None:
    """Two webhooks about a stream of EMEA, one of them looked at."""
    with writing(engine) as conn:
        conn.execute(
            sa.text(
                "insert into process.hint (connection, stream, region, whole, webhook_id, noted_at, settled_at) values"
                " ('crm', 'accounts', 'EMEA', true, 1, :then, :now), ('crm', 'accounts', 'EMEA', true, 2, :now, null)"
            ),
            {"then": NOW - timedelta(hours=1), "now": NOW},
        )


def held_orders(engine: sa.Engine) -> None:
    """A decision on an order of each region."""
    with writing(engine) as conn:
        facts = Facts(conn)
        for key, source, region, customer in (("512", "erp", "EMEA", "C1"), ("913", "erp-na", "NA", "C2")):
            facts.put(
                "sales_order",
                key,
                source=source,
                region=region,
                number=f"SO-{key}",
                customer_key=customer,
                net_value=Decimal(900),
                currency="EUR",
            )
            conn.execute(
                sa.text(
                    "insert into process.decision (rule, rule_version, subject_kind, subject_source, subject_key, region, legal_entity, outcome,"
                    " reasons, inputs, amount, currency, decided_at, decided_by) values ('order_to_cash', '1', 'order', :source, :key, :region,"
                    " 'DE01', 'release', array['within: within policy'], '{}', 900, 'EUR', :now, 'rule:order_to_cash')"
                ),
                {"source": source, "key": key, "region": region, "now": NOW},
            )


def has(frame: pl.DataFrame, columns: set[str]) -> None:
    assert columns <= set(frame.columns), columns - set(frame.columns)


def test_today_has_five_figures_that_can_be_read(desk_of: DeskOf) -> None:
    """Today has five figures; one without a value says why; every time has a zone."""
    seen = desk_of("leader").today()
    assert len(seen.tiles) == 5
    assert seen.as_of.tzinfo is not None
    for tile in seen.tiles:
        assert tile.value is not None or tile.why_missing
        assert tile.definition
    money = [item.money.value for item in seen.needs_a_hand if item.money]
    assert money == sorted(money, reverse=True)


def test_receivables_frames_have_their_columns(desk_of: DeskOf) -> None:
    """Every dimension answers with the same columns."""
    desk = desk_of("analyst")
    for dimension in ("region", "legal_entity", "customer", "country", "currency"):
        seen = desk.receivables(ReceivablesFilter(dimension=dimension))
        has(seen.cohorts, COHORTS)
        has(seen.breakdown, BREAKDOWN)
        has(seen.aging, AGING)
        has(seen.survival, SURVIVAL)
    has(desk.invoices(ReceivablesFilter()), INVOICES)


def test_cash_frames_have_their_columns_and_the_bridge_adds_up(desk_of: DeskOf) -> None:
    """The first total and every cause reach the last total exactly, the sync share among them."""
    seen = desk_of("analyst").cash(CashFilter())
    has(seen.positions, POSITIONS)
    has(seen.fan, {"week", "p10", "p50", "p90", "minimum"})
    has(seen.bridge, {"step", "amount", "kind"})
    has(seen.bridge_items, ITEMS)
    has(seen.accuracy, {"horizon", "wape", "bias", "inflow"})
    if seen.bridge.height:
        totals = seen.bridge.filter(pl.col("kind") == "total")["amount"].to_list()
        between = sum(seen.bridge.filter(pl.col("kind") != "total")["amount"].to_list())
        assert totals[0] + between == totals[-1]


def test_exposure_frames_have_their_columns(desk_of: DeskOf) -> None:
    """A customer without a limit has no utilisation, never 0."""
    seen = desk_of("analyst").exposure(ExposureFilter())
    has(seen.customers, CUSTOMERS)
    has(seen.breaches, BREACHES)
    has(seen.decisions, DECISIONS)
    assert seen.customers.filter(pl.col("credit_limit").is_null() & pl.col("utilisation").is_not_null()).is_empty()


def test_exceptions_are_paged_and_counted(desk_of: DeskOf) -> None:
    """A page holds at most its size; the total counts everything the filter selects."""
    seen = desk_of("operator").exceptions(ExceptionFilter(), page=0, page_size=10)
    assert len(seen.rows) <= 10
    assert seen.total >= len(seen.rows)
    assert (seen.page, seen.page_size) == (0, 10)


def test_a_past_moment_is_answered_as_of_then(desk_of: DeskOf) -> None:
    """With known_at, no figure claims to know anything later."""
    desk = desk_of("analyst")
    moment = desk.now().astimezone(UTC) - timedelta(days=1)
    assert desk.receivables(ReceivablesFilter(), moment).as_of <= moment


def test_regions_hold_for_every_question(desk_of: DeskOf) -> None:
    """Whoever is limited to EMEA gets rows of EMEA alone."""
    desk = desk_of("analyst-emea")
    frames = [desk.invoices(ReceivablesFilter()), desk.cash(CashFilter()).positions]
    seen = desk.exposure(ExposureFilter())
    frames += [seen.customers, seen.breaches, seen.decisions]
    for frame in frames:
        assert set(frame["region"].drop_nulls().to_list()) <= {"EMEA"}
    assert {case.region for case in seen.cases} <= {"EMEA"}
    assert {connection.region for connection in desk.connections()} <= {"EMEA"}
    assert {feed.region for feed in desk.today().feeds} <= {"EMEA"}


def test_only_operators_command(desk_of: DeskOf) -> None:
    """An analyst's or an auditor's command is refused with words."""
    for persona in ("analyst", "auditor", "leader"):
        with pytest.raises(NotAllowed):
            desk_of(persona).submit(Intent("acknowledge", f"key-{persona}", {"ids": [1]}))


def orders_of(desk: Desk) -> list[OrderKey]:
    """The orders that decisions name, newest first."""
    named = desk.exposure(ExposureFilter()).decisions.filter(pl.col("order_key").is_not_null())
    return [OrderKey(source, key) for source, key in named.select("source", "order_key").rows()]


def test_the_order_of_a_decision_says_what_may_be_asked_of_it(desk_of: DeskOf) -> None:
    """Its number, amount and region are there, and every change says what its ERP is told."""
    desk = desk_of("operator")
    for key in orders_of(desk):
        seen = desk.order(key)
        assert seen.order == key
        assert seen.number
        assert seen.state
        assert {change.kind for change in seen.changes} <= CHANGES
        for change in seen.changes:
            assert change.label
            assert seen.number in change.effect
            assert key.source in change.effect


def test_an_order_that_is_not_there_or_not_theirs_is_said_in_words(desk_of: DeskOf) -> None:
    """Neither an invented order nor one of another region is shown."""
    with pytest.raises(DeskError):
        desk_of("operator").order(OrderKey("sap-emea", "987654321"))
    mine = set(orders_of(desk_of("analyst-emea")))
    for key in set(orders_of(desk_of("operator"))) - mine:
        with pytest.raises(DeskError):
            desk_of("analyst-emea").order(key)


def test_a_change_of_an_order_needs_a_role_and_a_reason(desk_of: DeskOf) -> None:
    """Whoever only looks is refused; an operator who gives no reason is asked for one; with one there is a receipt."""
    orders = orders_of(desk_of("operator")) or [OrderKey("sap-emea", "987654321")]
    payload = {"source": orders[-1].source, "order": orders[-1].key, "change": "block_order"}
    for persona in ("analyst", "auditor", "leader"):
        with pytest.raises(NotAllowed):
            desk_of(persona).submit(Intent("request_order_change", f"order-{persona}", payload, "fraud"))
    with pytest.raises(DeskError):
        desk_of("operator").submit(Intent("request_order_change", "order-no-reason", payload))
    if orders_of(desk_of("operator")):
        receipt = desk_of("operator").submit(Intent("request_order_change", "order-reason", payload, "fraud"))
        assert receipt.kind == "request_order_change"


def test_the_same_key_is_one_command(desk_of: DeskOf) -> None:
    """Two submissions with one key give one receipt."""
    desk = desk_of("operator")
    first = desk.submit(Intent("acknowledge", "one-key", {"filter": {"state": "open"}}))
    second = desk.submit(Intent("acknowledge", "one-key", {"filter": {"state": "open"}}))
    assert first.command_id == second.command_id
    assert desk.receipt(first.command_id).command_id == first.command_id


def test_what_is_not_there_is_said_in_words(desk_of: DeskOf) -> None:
    """An exception or a command that does not exist is a DeskError; a search for nothing finds nothing."""
    desk = desk_of("operator")
    with pytest.raises(DeskError):
        desk.exception(987_654_321)
    with pytest.raises(DeskError):
        desk.receipt(987_654_321)
    assert list(desk.search("   ")) == []


def test_connections_have_proper_names_and_their_events(desk_of: DeskOf) -> None:
    """The system as people write it; of a stream whose webhooks came, when the last one did and how many are still to be read."""
    desk = desk_of("operator")
    seen = desk.connections()
    assert {view.system for view in seen} <= {"SAP S/4HANA", "Salesforce", "Kyriba", "Bank files", "Legacy drop"}
    events = [event for view in seen for event in view.events]
    assert bool(events) == bool(seen)
    assert all(event.last_at <= desk.now() and event.waiting > 0 for event in events)
    if isinstance(desk, LiveDesk):
        assert [(event.stream, event.last_at, event.waiting) for event in events] == [("accounts", NOW, 1)]
