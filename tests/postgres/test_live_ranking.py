"""What needs a hand is ranked by money, whatever currencies it comes in, and counted whole."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
import sqlalchemy as sa

from app.desk import Desk, ExposureFilter, Person
from app.live import LiveDesk
from db.engine import writing
from tests.postgres.api_house import NOW, ApiHouse, furnish
from tests.postgres.metrics_facts import Facts

AMOUNTS = (("JPY", "8000000"), ("EUR", "100000"), ("XXX", "5"))


@pytest.fixture
def desk(engine: sa.Engine, tmp_path: Path) -> Desk:
    """A desk over cases in yen, in euros, and in a currency without a rate; a yen is a 160th of a euro."""
    furnish(engine)
    with writing(engine) as conn:
        Facts(conn).rate("JPY", date(2026, 3, 1), "160")
        for currency, amount in AMOUNTS:
            case_of(conn, f"O-{currency}", Decimal(amount), currency, NOW)
    person = Person("ada", "Ada", None, frozenset({"admin"}), None)
    return LiveDesk(ApiHouse(engine, tmp_path).office, person)


def case_of(conn: sa.Connection, key: str, amount: Decimal, currency: str, opened: datetime) -> None:
    """An open case on an order, as a rule opens it."""
    bound = {"key": key, "amount": amount, "currency": currency, "now": opened}
    decision = conn.execute(
        sa.text(
            "insert into process.decision (rule, rule_version, subject_kind, subject_source, subject_key, region, legal_entity, outcome,"
            " reasons, inputs, amount, currency, decided_at, decided_by) values ('order_to_cash', '1', 'order', 'erp', :key, 'EMEA', 'DE01',"
            " 'hold', array['over: over its limit'], '{}', :amount, :currency, :now, 'rule:order_to_cash') returning id"
        ),
        bound,
    ).scalar_one()
    conn.execute(
        sa.text(
            'insert into process."case" (decision_id, kind, region, legal_entity, subject_key, amount, currency, state, opened_at, opened_by,'
            " context) values (:decision, 'credit_hold', 'EMEA', 'DE01', :key, :amount, :currency, 'open', :now, 'rule:order_to_cash', '{}')"
        ),
        {**bound, "decision": decision},
    )


def test_cases_are_ranked_in_one_currency(desk: Desk) -> None:
    """Eight million yen stand behind a hundred thousand euros; an amount without a rate comes last, with no money beside it."""
    cases = [item for item in desk.today().needs_a_hand if item.kind == "case"]
    money = [(item.title, item.money.value if item.money else None, item.money.currency if item.money else None) for item in cases]
    assert money == [
        ("Order O-EUR held", Decimal("100000.00"), "EUR"),
        ("Order O-JPY held", Decimal("50000.00"), "EUR"),
        ("Order O-XXX held", None, None),
    ]


def test_what_the_cases_hold_is_summed_in_one_currency(desk: Desk) -> None:
    """All of it that has a rate; what has none is said to be left out."""
    tile = next(tile for tile in desk.exposure(ExposureFilter()).figures if tile.slug == "open_cases")
    assert tile.value == 3
    assert tile.second_line == "0.15 M EUR, 1 without a rate left out"


def test_every_open_case_is_counted_and_the_largest_is_not_missed(desk: Desk, engine: sa.Engine) -> None:
    """Eighty older and smaller ones push neither the newest out of Today nor any out of the count."""
    with writing(engine) as conn:
        for at in range(80):
            case_of(conn, f"S-{at}", Decimal(1), "EUR", datetime(2026, 2, 1, tzinfo=UTC))
    items = [item for item in desk.today().needs_a_hand if item.kind == "case"]
    assert items[0].title == "Order O-EUR held"
    assert len(items) == 83
    tile = next(tile for tile in desk.exposure(ExposureFilter()).figures if tile.slug == "open_cases")
    assert tile.value == 83
