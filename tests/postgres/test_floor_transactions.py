"""Transactions: who may write, what a scope hides, and that it ends with its transaction."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from db.engine import PAGES_ROLE, CommitUnknown, Scope, Writing, create, reading, writing

EMEA = Scope(frozenset({"EMEA"}), "ana@example.com")


def _add_stream(conn: Writing, connection: str, region: str) -> None:
    conn.execute(
        sa.text("INSERT INTO process.stream (connection, stream, region) VALUES (:c, 'invoice', :r)"),
        {"c": connection, "r": region},
    )


def _add_customer(conn: Writing, key: str, region: str) -> None:
    conn.execute(
        sa.text(
            "INSERT INTO canonical.customer (source, source_key, source_version, content_hash, region, changed_at,"
            " recorded_at, raw_record_id, contract_version) VALUES ('sap', :k, 1, 1, :r, now(), now(), 1, 1)"
        ),
        {"k": key, "r": region},
    )


def _who(conn: sa.Connection) -> tuple[str, str]:
    row = conn.execute(sa.text("SELECT current_user, current_setting('tidegate.regions', true)")).one()
    return str(row[0]), str(row[1])


@pytest.mark.postgres_versions
def test_reading_refuses_to_write(engine: sa.Engine) -> None:
    """A reading transaction is read-only in the database itself."""
    with pytest.raises(sa.exc.DBAPIError, match="read-only"), reading(engine) as conn:
        _add_stream(Writing(conn), "sap-emea", "EMEA")


def test_writing_rolls_back_when_the_block_raises(engine: sa.Engine) -> None:
    """Nothing of a failed block is kept."""
    with pytest.raises(RuntimeError), writing(engine) as conn:
        _add_stream(conn, "sap-emea", "EMEA")
        raise RuntimeError
    with reading(engine) as conn:
        assert conn.execute(sa.text("SELECT count(*) FROM process.stream")).scalar() == 0


@pytest.mark.postgres_versions
def test_scope_hides_other_regions(engine: sa.Engine) -> None:
    """A scope sees its own regions' rows only, no region sees none, all regions sees all."""
    with writing(engine) as conn:
        for key, region in (("1", "EMEA"), ("2", "NA"), ("3", "APAC")):
            _add_customer(conn, key, region)
    seen = {}
    for name, regions in (("one", {"EMEA"}), ("two", {"EMEA", "NA"}), ("none", set()), ("all", None)):
        scope = Scope(None if regions is None else frozenset(regions), "ana@example.com")
        with reading(engine, scope) as conn:
            seen[name] = conn.execute(sa.text("SELECT count(*) FROM canonical.customer")).scalar()
    assert seen == {"one": 1, "two": 2, "none": 0, "all": 3}


def test_scope_ends_with_its_transaction(database: str) -> None:
    """Role and regions of one user never reach the next user of a pooled connection, in 200 turns of one connection."""
    engine = create(database, pool_size=1)
    for turn in range(200):
        scope = Scope(frozenset({"EMEA" if turn % 2 else "NA"}), "ana@example.com")
        opened = (reading, writing)[turn % 3 == 0]
        with opened(engine, scope) as conn:
            assert _who(conn) == (PAGES_ROLE, "EMEA" if turn % 2 else "NA")
        with engine.connect() as conn:
            assert _who(conn)[0] != PAGES_ROLE
            assert _who(conn)[1] == "*"
    engine.dispose()


@pytest.mark.postgres_versions
def test_pages_role_owns_nothing_and_writes_no_facts(engine: sa.Engine) -> None:
    """The pages' role can neither change facts nor make or drop tables."""
    for statement in (
        "UPDATE canonical.invoice SET gross = 0",
        "DELETE FROM process.effect",
        "TRUNCATE canonical.invoice",
        "DROP TABLE canonical.invoice",
        "CREATE TABLE canonical.mine (a int)",
        "ALTER TABLE canonical.invoice DISABLE ROW LEVEL SECURITY",
    ):
        with pytest.raises(sa.exc.ProgrammingError), writing(engine, EMEA) as conn:
            conn.execute(sa.text(statement))


def test_no_table_is_a_way_around_the_regions(engine: sa.Engine) -> None:
    """What the pages' role may read and carries a region is under row-level security, partitions and views included."""
    with reading(engine) as conn:
        open_doors = conn.execute(
            sa.text(
                "SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
                " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'region' AND NOT a.attisdropped"
                " WHERE n.nspname IN ('raw', 'canonical', 'process', 'measure', 'governance')"
                f" AND has_any_column_privilege('{PAGES_ROLE}', c.oid, 'SELECT')"
                " AND (c.relkind IN ('r', 'p') AND NOT (c.relrowsecurity AND c.relforcerowsecurity)"
                " OR c.relkind = 'v' AND NOT coalesce('security_invoker=true' = ANY (c.reloptions), false))"
            )
        ).scalars()
        assert set(open_doors) <= {"process.stream"}, "streams carry no business data: freshness is everybody's"


def test_lost_connection_during_commit_is_an_unknown_outcome(engine: sa.Engine) -> None:
    """When the server goes away while committing, the error says that the outcome isn't known."""
    with pytest.raises(CommitUnknown), writing(engine) as conn:
        _add_stream(conn, "sap-emea", "EMEA")
        pid = conn.execute(sa.text("SELECT pg_backend_pid()")).scalar()
        with engine.connect() as other:
            other.execute(sa.text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})
