"""The database itself hides other regions from the pages' role, whatever a page or the API asks."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa

from db.engine import Scope, create, reading, writing
from db.schema.base import SCHEMAS, metadata
from db.schema.security import PAGES_ROLE
from sync import audit

EMEA = Scope(regions=frozenset({"EMEA"}), actor="elif")
NOBODY = Scope(regions=frozenset(), actor="nobody")
EVERYTHING = Scope(regions=None, actor="olga")
NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
_WORDS = {"limit_state": "ok", "opened_by": "rule"}


def guarded() -> list[tuple[sa.Table, str]]:
    """Every table whose rows belong to a region, with the column that says which."""
    columns = {table: "region" if table.info.get("rls") else table.info.get("rls_column") for table in metadata.sorted_tables}
    return [(table, column) for table, column in columns.items() if column]


def invented(column: sa.Column[Any], seed: str) -> Any:
    """A value that the column takes."""
    kind = column.type
    if column.name == "currency":
        return "EUR"
    allowed = re.search(
        r"state in \('(\w+)'", " ".join(str(check.sqltext) for check in column.constraints if isinstance(check, sa.CheckConstraint))
    )
    if allowed:
        return allowed.group(1)
    if column.name in _WORDS:
        return _WORDS[column.name]
    if isinstance(kind, sa.LargeBinary):
        return seed.encode()
    if isinstance(kind, sa.DateTime):
        return NOW
    if isinstance(kind, sa.Date):
        return date(2026, 3, 2)
    if isinstance(kind, sa.Boolean):
        return False
    if isinstance(kind, sa.Integer):
        return zlib.crc32(seed.encode()) % 1000
    if isinstance(kind, sa.Text):
        return seed
    return Decimal(1)


def fill(engine: sa.Engine) -> None:
    """One row of EMEA and one of NA in every guarded table."""
    with writing(engine) as conn:
        for table, column in guarded():
            for region in ("EMEA", "NA"):
                needed = [
                    one
                    for one in table.columns
                    if one.server_default is None and one.identity is None and not (one.nullable and not one.primary_key)
                ]
                row = {one.name: invented(one, region) for one in needed if one.name != "id" or not isinstance(one.type, sa.BigInteger)}
                conn.execute(table.insert().values(**{**row, column: region}))


@pytest.fixture
def filled(engine: sa.Engine) -> Iterator[sa.Engine]:
    fill(engine)
    yield engine


def regions_seen(engine: sa.Engine, scope: Scope, table: sa.Table, column: str) -> set[str]:
    with reading(engine, scope) as conn:
        return set(conn.scalars(sa.select(table.c[column])))


def test_a_scope_sees_its_own_regions_in_every_table(filled: sa.Engine) -> None:
    """Of every table with rows of regions, a scope of EMEA sees EMEA's row only, no scope sees nothing, all regions see both."""
    for table, column in guarded():
        if table.fullname == "governance.audit":
            continue
        assert regions_seen(filled, EMEA, table, column) == {"EMEA"}, table
        assert regions_seen(filled, NOBODY, table, column) == set(), table
        assert regions_seen(filled, EVERYTHING, table, column) == {"EMEA", "NA"}, table


def test_an_unset_setting_shows_nothing(filled: sa.Engine) -> None:
    """The pages' role without a region bound, or with an empty one, sees no row of any guarded table."""
    for setting in ("reset tidegate.regions", "set local tidegate.regions = ''"):
        with filled.connect() as connection, connection.begin():
            connection.execute(sa.text(setting))
            connection.execute(sa.text(f"set local role {PAGES_ROLE}"))
            for table, _ in guarded():
                assert connection.scalar(sa.select(sa.func.count()).select_from(table)) == 0, (setting, table)


def test_the_catalogue_forces_row_security_everywhere(engine: sa.Engine) -> None:
    """Every table of ours with a region column has row security, forced on its owner too, and a policy; but the two that say so."""
    with reading(engine) as conn:
        rows = conn.execute(
            sa.text(
                "select n.nspname || '.' || c.relname as name, c.relrowsecurity, c.relforcerowsecurity,"
                " (select count(*) from pg_policy p where p.polrelid = c.oid) as policies, c.relispartition"
                " from pg_class c join pg_namespace n on n.oid = c.relnamespace join pg_attribute a on a.attrelid = c.oid"
                " where n.nspname = any(:schemas) and c.relkind in ('r', 'p') and a.attname in ('region', 'chain') and not a.attisdropped"
            ),
            {"schemas": list(SCHEMAS)},
        ).all()
    open_to_all = {table.fullname for table in metadata.sorted_tables if table.info.get("rls") is False}
    checked = [row for row in rows if not row.relispartition and row.name not in open_to_all]
    assert len(checked) >= 50
    assert [row.name for row in checked if not (row.relrowsecurity and row.relforcerowsecurity and row.policies)] == []
    assert {row.name for row in rows if row.name in open_to_all} == {"process.stream"}


def test_the_role_owns_nothing_and_bypasses_nothing(engine: sa.Engine) -> None:
    """The pages' role owns no table, is no superuser, bypasses no policy and may TRUNCATE nothing; views ask as their caller."""
    with reading(engine) as conn:
        role = conn.execute(
            sa.text("select rolsuper, rolbypassrls, rolcanlogin from pg_roles where rolname = :role"), {"role": PAGES_ROLE}
        ).one()
        owned = conn.scalar(sa.text("select count(*) from pg_class where relowner = cast(:role as regrole)"), {"role": PAGES_ROLE})
        truncating = conn.scalar(
            sa.text(
                "select count(*) from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname = any(:schemas)"
                " and c.relkind in ('r', 'p') and has_table_privilege(:role, c.oid, 'TRUNCATE')"
            ),
            {"schemas": list(SCHEMAS), "role": PAGES_ROLE},
        )
        leaking = conn.scalar(
            sa.text(
                "select count(*) from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname = any(:schemas)"
                " and (c.relkind = 'm' or (c.relkind = 'v' and not coalesce('security_invoker=true' = any(c.reloptions), false)))"
            ),
            {"schemas": list(SCHEMAS)},
        )
    assert tuple(role) == (False, False, False)
    assert (owned, truncating, leaking) == (0, 0, 0)


def test_the_role_writes_commands_and_audit_alone(engine: sa.Engine) -> None:
    """The pages' role may insert into the command tables and the audit log, and change or delete nothing of ours anywhere."""
    with reading(engine) as conn:
        held = conn.execute(
            sa.text(
                "select n.nspname || '.' || c.relname as name, p.privilege from pg_class c join pg_namespace n on n.oid = c.relnamespace,"
                " unnest(array['INSERT', 'UPDATE', 'DELETE']) as p(privilege)"
                " where n.nspname = any(:schemas) and c.relkind in ('r', 'p') and has_any_column_privilege(:role, c.oid,"
                " case p.privilege when 'DELETE' then 'INSERT' else p.privilege end) and (p.privilege <> 'DELETE'"
                " or has_table_privilege(:role, c.oid, 'DELETE'))"
            ),
            {"schemas": list(SCHEMAS), "role": PAGES_ROLE},
        ).all()
    assert {tuple(row) for row in held} == {
        ("process.command", "INSERT"), ("process.command_item", "INSERT"), ("governance.audit", "INSERT")
    }  # fmt: skip


def test_partitions_can_not_be_read_directly(filled: sa.Engine) -> None:
    """A partition of the pages as received is refused to the pages' role: it would not ask its parent's policy."""
    with filled.connect() as connection, connection.begin():
        names = connection.scalars(sa.text("select inhrelid::regclass::text from pg_inherits where inhparent = 'raw.page'::regclass")).all()
    assert names
    for name in names:
        with pytest.raises(sa.exc.ProgrammingError, match="permission denied"), reading(filled, EVERYTHING) as conn:
            conn.execute(sa.text(f"select count(*) from {name}"))


def test_a_region_can_not_be_written_for_another(filled: sa.Engine) -> None:
    """A scope of EMEA can not write an audit entry into NA's chain."""
    with pytest.raises(sa.exc.ProgrammingError, match="row-level security"), writing(filled, EMEA) as conn:
        audit.write(conn, chain="NA", at=NOW, actor="elif", action="x", subject_kind="y", subject_key="z")


def test_pooled_requests_of_different_people_never_mix(filled: sa.Engine) -> None:
    """200 requests of changing scopes over a pool of four connections: none sees another's region."""
    table = metadata.tables["canonical.invoice"]
    pooled = create(filled.url.render_as_string(hide_password=False), pool_size=4)
    scopes = [EMEA, NOBODY, EVERYTHING, Scope(regions=frozenset({"NA"}), actor="nina")]
    expected: list[set[str]] = [{"EMEA"}, set(), {"EMEA", "NA"}, {"NA"}]

    def ask(number: int) -> bool:
        chosen = number % 4
        if number % 7 == 0:  # a request that fails in the middle leaves nothing behind either
            with pytest.raises(sa.exc.DBAPIError), reading(pooled, scopes[chosen]) as conn:
                conn.execute(sa.text("select 1 / 0"))
        return regions_seen(pooled, scopes[chosen], table, "region") == expected[chosen]

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(ask, range(200)))
    pooled.dispose()
    assert answers.count(True) == 200


@pytest.mark.parametrize(
    "act", ["update governance.audit set reason = 'other'", "delete from governance.audit", "truncate governance.audit"]
)
def test_the_audit_log_only_grows(engine: sa.Engine, act: str) -> None:
    """Even its owner can not change, delete or truncate what the audit log holds."""
    with writing(engine) as conn:
        audit.write(conn, chain="EMEA", at=NOW, actor="olga", action="replay", subject_kind="exception", subject_key="1", reason="fixed")
    with pytest.raises(sa.exc.DatabaseError, match="append-only"), writing(engine) as conn:
        conn.execute(sa.text(act))


@pytest.mark.parametrize(
    "tampering",
    [
        "update governance.audit set reason = 'other' where subject_key = '2'",
        "delete from governance.audit where subject_key = '2'",
        "update governance.audit set actor = 'someone' where subject_key = '3'",
    ],
)
def test_tampering_behind_the_triggers_is_found(engine: sa.Engine, tampering: str) -> None:
    """An owner who switches the triggers off and edits or deletes a row breaks the hash chain, and `audit.verify` says where."""
    with writing(engine) as conn:
        for key in ("1", "2", "3"):
            audit.write(
                conn, chain="EMEA", at=NOW, actor="olga", action="replay", subject_kind="exception", subject_key=key, reason="fixed"
            )
    with reading(engine) as conn:
        assert audit.verify(conn) == []
    with writing(engine) as conn:
        conn.execute(sa.text("alter table governance.audit disable trigger user"))
        assert conn.execute(sa.text(tampering)).rowcount == 1
        conn.execute(sa.text("alter table governance.audit enable trigger user"))
    with reading(engine) as conn:
        breaks = audit.verify(conn)
    assert [entry.chain for entry in breaks][:1] == ["EMEA"]
