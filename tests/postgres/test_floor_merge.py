"""Merging frames into a canonical table: against a simple oracle, under contention, and without needless writing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from db import bulk
from db.engine import Writing, create, reading, writing
from db.schema import metadata

TABLE = metadata.tables["canonical.customer"]
HISTORY = metadata.tables["canonical.customer_history"]
NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
CONTENT = ["name", "country"]
Record = tuple[str, int, str]


def _frame(records: list[Record]) -> pl.DataFrame:
    """Customers as (key, version, name); every other column says nothing."""
    fixed: dict[str, Any] = {
        "source": "sap-emea",
        "region": "EMEA",
        "changed_at": NOW,
        "raw_record_id": 1,
        "contract_version": 1,
    }
    columns: dict[str, pl.Series] = {}
    for column in TABLE.columns:
        if isinstance(column.type, sa.Boolean):
            columns[column.name] = pl.Series([False] * len(records), dtype=pl.Boolean)
        elif isinstance(column.type, sa.Integer) and column.name not in fixed:
            columns[column.name] = pl.Series([None] * len(records), dtype=pl.Int64)
        elif column.name != "recorded_at":
            dtype = pl.Datetime("us", "UTC") if column.name == "changed_at" else None
            value = fixed.get(column.name)
            given_type = pl.String if value is None else dtype
            columns[column.name] = pl.Series([value] * len(records), dtype=given_type)
    columns["source_key"] = pl.Series([key for key, _, _ in records], dtype=pl.String)
    columns["source_version"] = pl.Series([version for _, version, _ in records], dtype=pl.Int64)
    columns["name"] = pl.Series([name for _, _, name in records], dtype=pl.String)
    frame = pl.DataFrame(columns)
    return frame.with_columns(bulk.content_hash(frame, CONTENT))


def _merge(conn: Writing, records: list[Record], now: datetime = NOW) -> bulk.Merged:
    return bulk.merge(conn, TABLE, HISTORY, _frame(records), now=now)


def _contents(engine: sa.Engine) -> tuple[dict[str, tuple[int, str]], list[Record]]:
    with reading(engine) as conn:
        current = conn.execute(sa.text("SELECT source_key, source_version, name FROM canonical.customer")).all()
        older = conn.execute(sa.text("SELECT source_key, source_version, name FROM canonical.customer_history")).all()
    return {row[0]: (row[1], row[2]) for row in current}, sorted((row[0], row[1], row[2]) for row in older)


def _oracle(batches: list[list[Record]]) -> dict[str, tuple[int, str]]:
    """One record at a time: an older version never wins, at equal versions the later received does."""
    current: dict[str, tuple[int, str]] = {}
    for key, version, name in (record for batch in batches for record in batch):
        if key not in current or version >= current[key][0]:
            current[key] = (version, name)
    return current


records = st.tuples(st.sampled_from("ab"), st.integers(1, 4), st.sampled_from(["x", "y", ""]))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=st.lists(st.lists(records, max_size=6), min_size=1, max_size=4))
def test_merge_agrees_with_the_oracle(engine: sa.Engine, batches: list[list[Record]]) -> None:
    """Whatever the order and the batches, the newest version is current, and every version seen is kept somewhere."""
    with writing(engine) as conn:
        conn.execute(sa.text("TRUNCATE canonical.customer, canonical.customer_history"))
    for number, batch in enumerate(batches):
        before, _ = _contents(engine)
        with writing(engine) as conn:
            merged = _merge(conn, batch, NOW + timedelta(minutes=number))
        assert merged.outcomes["row"].to_list() == list(range(len(batch)))
        assert {row["source_key"] for row in merged.before.to_dicts()} <= set(before)
        for row in merged.before.to_dicts():
            assert before[row["source_key"]] == (row["source_version"], row["name"])
    current, older = _contents(engine)
    assert current == _oracle(batches)
    kept = {(key, *state) for key, state in current.items()} | set(older)
    assert kept == {record for batch in batches for record in batch}


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batch=st.lists(records, min_size=1, max_size=8))
def test_repeating_a_batch_of_increasing_versions_changes_nothing(engine: sa.Engine, batch: list[Record]) -> None:
    """A batch whose versions are distinct per key can be merged again without a trace."""
    unique = list({(key, version): (key, version, name) for key, version, name in batch}.values())
    with writing(engine) as conn:
        conn.execute(sa.text("TRUNCATE canonical.customer, canonical.customer_history"))
        _merge(conn, unique)
    first = _contents(engine)
    with writing(engine) as conn:
        again = _merge(conn, unique, NOW + timedelta(hours=1))
    assert _contents(engine) == first
    assert again.count("new") == again.count("changed") == 0


@pytest.mark.postgres_versions
def test_each_outcome_is_told(engine: sa.Engine) -> None:
    """New, changed, unchanged, superseded and duplicate rows are told apart, and old rows handed back."""
    with writing(engine) as conn:
        _merge(conn, [("1", 1, "A"), ("2", 2, "B"), ("3", 1, "C")])
    batch = [("1", 2, "A2"), ("2", 1, "old B"), ("3", 1, "C"), ("4", 1, "D"), ("4", 1, "D"), ("5", 1, "E"), ("5", 2, "E2")]
    with writing(engine) as conn:
        merged = _merge(conn, batch, NOW + timedelta(days=1))
    told = ["changed", "superseded", "unchanged", "duplicate", "new", "superseded", "new"]
    assert merged.outcomes["outcome"].to_list() == told
    assert merged.before.select("source_key", "name", "recorded_at").rows() == [("1", "A", NOW)]
    current, older = _contents(engine)
    assert current == {"1": (2, "A2"), "2": (2, "B"), "3": (1, "C"), "4": (1, "D"), "5": (2, "E2")}
    assert older == [("1", 1, "A"), ("2", 1, "old B"), ("5", 1, "E")]


def test_merge_works_under_row_level_security(engine: sa.Engine) -> None:
    """An owner to whom row-level security applies, as on a managed server, merges the same."""
    with writing(engine) as conn:
        conn.execute(sa.text("CREATE ROLE merge_owner NOLOGIN; GRANT merge_owner TO CURRENT_USER"))
        conn.execute(sa.text("GRANT USAGE ON SCHEMA canonical TO merge_owner"))
        conn.execute(sa.text("GRANT ALL ON ALL TABLES IN SCHEMA canonical TO merge_owner"))
        conn.execute(sa.text("SET LOCAL ROLE merge_owner"))
        assert _merge(conn, [("1", 1, "A"), ("2", 1, "B")]).count("new") == 2
        assert _merge(conn, [("1", 2, "A2"), ("2", 0, "B0")]).outcomes["outcome"].to_list() == ["changed", "superseded"]
        conn.execute(sa.text("RESET ROLE; DROP OWNED BY merge_owner; DROP ROLE merge_owner"))
    assert _contents(engine)[0] == {"1": (2, "A2"), "2": (1, "B")}


def test_concurrent_writers_of_one_new_key_cannot_both_win(engine: sa.Engine, database: str) -> None:
    """Of two transactions that insert the same key, the second fails and can be done again."""
    other = create(database)
    with writing(engine) as conn:
        _merge(conn, [("1", 1, "first")])
        with pytest.raises(sa.exc.DBAPIError), writing(other) as second:
            second.execute(sa.text("SET LOCAL lock_timeout = '200ms'"))
            _merge(second, [("1", 2, "second")])
    with writing(other) as conn:
        assert _merge(conn, [("1", 2, "second")]).count("changed") == 1
    other.dispose()
    assert _contents(engine)[0] == {"1": (2, "second")}


def test_all_duplicate_replay_writes_hardly_any_wal(engine: sa.Engine) -> None:
    """Merging 20,000 known records again writes less than a hundredth of the log that the first time wrote."""
    batch = [(str(number), 1, "name") for number in range(20_000)]

    def wal_of(rows: list[Record]) -> int:
        with writing(engine) as conn:
            start = conn.execute(sa.text("SELECT pg_current_wal_insert_lsn()")).scalar()
            _merge(conn, rows)
            written = conn.execute(sa.text("SELECT pg_current_wal_insert_lsn() - CAST(:s AS pg_lsn)"), {"s": start})
            return int(written.scalar_one())

    first = wal_of(batch)
    # Whatever else the server writes meanwhile, a vacuum or the pages' first hints after a checkpoint, only adds: the least one counts.
    assert min(wal_of(batch) for _ in range(5)) * 100 < first


def test_a_frame_of_another_shape_is_refused(engine: sa.Engine) -> None:
    """A missing or unknown column is named, and nothing is written."""
    with pytest.raises(bulk.FrameUnfit, match="country"), writing(engine) as conn:
        bulk.merge(conn, TABLE, HISTORY, _frame([("1", 1, "A")]).drop("country"), now=NOW)
