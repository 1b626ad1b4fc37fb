"""A source that names everything it has: what is held and missing there is gone, unless it is too much to believe."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from db.clock import FixedClock
from db.engine import writing
from sync.ports import Complete
from sync.promotion import MappedPage, Setting, promote
from tests.postgres.synthetic import mapped, order

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
SETTING = Setting(source="crm", stream="orders", region="EMEA", now=NOW, live_since=NOW)


def _take(engine: sa.Engine, page_id: int, records: list[dict[str, Any]], *words: Complete) -> Any:
    page = replace(mapped(records), complete=words)
    with writing(engine) as conn:
        return promote(conn, SETTING, [MappedPage(page_id, seen_before=False, mapped=page)])


def _live(engine: sa.Engine) -> list[str]:
    with engine.connect() as conn:
        return [row[0] for row in conn.execute(sa.text("select source_key from canonical.sales_order where not is_deleted order by 1"))]


def _word(present: set[str], **bounds: Any) -> Complete:
    return Complete("sales_order", frozenset(present), NOW + timedelta(days=400), **bounds)


def test_what_a_range_lacks_is_gone_and_may_come_back(engine: sa.Engine, clock: FixedClock) -> None:
    """Only within the range, as it was last held; the same version again brings it back."""
    _take(engine, 1, [order(key, 3) for key in ("A1", "A2", "B1", "B2", "a1")])
    outcome = _take(engine, 2, [order("A1", 3)], _word({"A1"}, after="A0", upto="B1"))
    assert _live(engine) == ["A1", "B2", "a1"]
    assert outcome.counts.received == 1
    _take(engine, 3, [], _word(set(), after="a"))
    assert _live(engine) == ["A1", "B2"]
    _take(engine, 4, [order("A2", 3)])
    assert _live(engine) == ["A1", "A2", "B2"]


def test_what_a_record_no_longer_holds_is_gone(engine: sa.Engine, clock: FixedClock) -> None:
    """The lines of the records that are named, however few are left; those of others stay, also where a key begins alike."""
    _take(engine, 1, [order(key, 3) for key in ("A/1", "A/2", "A0/1", "A", "B/1", "B/2", "C/1")])
    _take(engine, 2, [order("A/1", 3)], _word({"A/1"}, within=frozenset({"A", "B"}), gone_max=1.0))
    assert _live(engine) == ["A/1", "A0/1", "C/1"]


def test_too_much_is_not_believed(engine: sa.Engine, clock: FixedClock) -> None:
    """A user who lost sight of most records deletes nothing: an exception says so, once."""
    _take(engine, 1, [order(f"K{n:03d}") for n in range(100)])
    for page in (2, 3):
        _take(engine, page, [], _word({f"K{n:03d}" for n in range(90)}))
    assert len(_live(engine)) == 100
    with engine.connect() as conn:
        rows = conn.execute(sa.text("select cause, message, evidence->>'absent' from process.exception")).all()
    assert [(row[0], row[2]) for row in rows] == [("many_gone", "10")]
    assert "10 of 100" in rows[0][1]
    _take(engine, 4, [], _word({f"K{n:03d}" for n in range(95)}))
    assert len(_live(engine)) == 95


def test_what_was_asked_for_by_name_is_believed(engine: sa.Engine, clock: FixedClock) -> None:
    """Of records asked for by their keys those that did not come are gone, however many; others stay."""
    _take(engine, 1, [order(f"K{n}") for n in range(9)])
    _take(engine, 2, [order("K1")], _word({"K1"}, among=frozenset(f"K{n}" for n in range(8))))
    assert _live(engine) == ["K1", "K8"]


def test_what_changed_after_the_question_stays(engine: sa.Engine, clock: FixedClock) -> None:
    """A record younger than the question can't be in its answer."""
    _take(engine, 1, [order("K1")])
    _take(engine, 2, [], replace(_word(set()), asked_at=datetime(2020, 1, 1, tzinfo=UTC)))
    assert _live(engine) == ["K1"]


def test_a_list_may_be_of_some_records_only(engine: sa.Engine, clock: FixedClock) -> None:
    """Of those in a state, and that changed since: what is in no such state, or older, is not missed."""
    _take(engine, 1, [{**order("A1", 3), "status": "open"}, {**order("A2", 3), "status": "complete"}, {**order("A3", 3), "status": None}])
    with engine.connect() as conn:
        changed = conn.execute(sa.text("select changed_at from canonical.sales_order where source_key = 'A1'")).scalar_one()
    _take(engine, 2, [], _word(set(), only={"status": ("open",)}, since=changed + timedelta(seconds=1)))
    assert _live(engine) == ["A1", "A2", "A3"]
    _take(engine, 3, [], _word(set(), only={"status": ("open",)}, since=changed))
    assert _live(engine) == ["A2", "A3"]
    _take(engine, 4, [], _word(set(), only={"status": ("complete",)}, among=frozenset({"A1", "A2", "A3"})))
    assert _live(engine) == ["A3"]
