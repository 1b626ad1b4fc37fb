"""What was refused and comes well since closes its own exception, on a real Postgres: a template's next run, a corrected statement."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from db.clock import FixedClock
from db.engine import reading
from sync.pull import PullResult, pull_stream
from tests.contracts.kyriba_tenant import LANDSCAPE
from tests.contracts.suite import NOW
from tests.contracts.test_kyriba_statements import Statements, refusing
from tests.postgres.synthetic import Database
from tests.postgres.test_missing_statement import MONDAY, House

WELL = "it came well since"


@pytest.fixture
def case(monkeypatch: pytest.MonkeyPatch) -> Iterator[Statements]:
    monkeypatch.setenv("KYRIBA_TEST_ID", "id")
    monkeypatch.setenv("KYRIBA_TEST_SECRET", "s3cret")
    with Statements() as case:
        case.options = {"statement_templates": ["E_BAD", "E_BK_CAMT"]}
        yield case


def pull(engine: sa.Engine, case: Statements) -> PullResult:
    """Pulls the statements until the round is over, each time as another worker would."""
    clock = FixedClock(case.now)
    for _ in range(20):
        with closing(case.source()) as source:
            connection = case.tenant.connection(**case.options)
            result = pull_stream(Database(engine), connection, LANDSCAPE, source, "statements", clock=clock, trigger="test")
        assert result.error is None
        if result.pending is None:
            return result
    raise AssertionError("the round does not end")


def told(engine: sa.Engine) -> list[Any]:
    with reading(engine) as conn:
        rows = conn.execute(sa.text("select source_key, state, resolution from process.exception where kind = 'file' order by id"))
        return [tuple(row) for row in rows]


def test_a_template_that_is_refused_closes_when_it_runs_and_comes_back_when_it_does_not(engine: sa.Engine, case: Statements) -> None:
    """Refused twice is one exception; run well it closes; refused again in the same words it is the same, come back after a fix."""
    case.put("k1", 101, NOW - timedelta(days=1))
    refusing(case, "E_BAD")
    for _ in range(2):
        pull(engine, case)
        assert told(engine) == [("E_BAD", "new", None)]
    case.tenant.server.between = None
    pull(engine, case)
    assert told(engine) == [("E_BAD", "resolved", WELL)]
    refusing(case, "E_BAD")
    pull(engine, case)
    assert told(engine) == [("E_BAD", "regressed", None)]


def test_a_corrected_statement_closes_what_refused_the_broken_one(engine: sa.Engine, tmp_path: Path) -> None:
    """It comes under another name; another day's statement closes nothing, and neither does the same broken file again."""
    house = House(engine, tmp_path / "in")
    house.drop("a.xml", house.statement("2026-05-12", "100.00", "111.00", "10.00"))
    house.pull()
    assert [state for _, state, _ in told(engine)] == ["new"]
    house.drop("b.xml", house.statement("2026-05-13", "110.00", "120.00", "10.00"))
    house.drop("a.xml", house.statement("2026-05-12", "100.00", "111.00", "10.00"))
    house.pull(MONDAY + timedelta(hours=1))
    assert [state for _, state, _ in told(engine)] == ["new"]
    house.drop("a-corrected.xml", house.statement("2026-05-12", "100.00", "110.00", "10.00"))
    house.pull(MONDAY + timedelta(hours=2))
    assert told(engine) == [("a.xml", "resolved", WELL)]


def test_one_name_for_every_day_closes_nothing(engine: sa.Engine, tmp_path: Path) -> None:
    """Tuesday's file is called as Monday's was: that it is well says nothing of Monday's."""
    house = House(engine, tmp_path / "in")
    house.drop("latest.xml", house.statement("2026-05-12", "100.00", "111.00", "10.00"))
    house.pull()
    house.drop("latest.xml", house.statement("2026-05-13", "110.00", "120.00", "10.00"))
    house.pull(MONDAY + timedelta(hours=1))
    assert told(engine) == [("latest.xml", "new", None)]
