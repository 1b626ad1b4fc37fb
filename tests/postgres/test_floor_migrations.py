"""Migrations: they make exactly what the schema says, once, and refuse a database from the future."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import pytest
import sqlalchemy as sa

from db import migrations
from db.engine import create, writing
from db.schema import metadata

SCHEMAS = "('raw', 'canonical', 'process', 'measure', 'governance')"
CATALOGUE = {
    "columns": f"""
        SELECT n.nspname, c.relname, c.relkind, a.attnum, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
               a.attidentity, pg_get_expr(d.adbin, d.adrelid)
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid
        LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
        WHERE n.nspname IN {SCHEMAS} AND a.attnum > 0 AND NOT a.attisdropped""",
    "relations": f"""
        SELECT n.nspname, c.relname, c.relkind, c.relrowsecurity, c.relforcerowsecurity, c.reloptions::text,
               c.relacl::text, pg_get_expr(c.relpartbound, c.oid), pg_get_partkeydef(c.oid)
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname IN {SCHEMAS}""",
    "constraints": f"""
        SELECT n.nspname, conrelid::regclass::text, conname, pg_get_constraintdef(k.oid)
        FROM pg_constraint k JOIN pg_namespace n ON n.oid = k.connamespace WHERE n.nspname IN {SCHEMAS}""",
    "indexes": f"SELECT schemaname, tablename, indexname, indexdef FROM pg_indexes WHERE schemaname IN {SCHEMAS}",
    "policies": f"""
        SELECT schemaname, tablename, policyname, permissive, roles::text, cmd, qual, with_check
        FROM pg_policies WHERE schemaname IN {SCHEMAS}""",
    "functions": f"""
        SELECT n.nspname, p.proname, pg_get_functiondef(p.oid), p.proacl::text
        FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname IN {SCHEMAS}""",
    "triggers": f"""
        SELECT pg_get_triggerdef(t.oid) FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
        JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname IN {SCHEMAS} AND NOT t.tgisinternal""",
    "views": f"SELECT schemaname, viewname, definition FROM pg_views WHERE schemaname IN {SCHEMAS}",
    "schemas": f"SELECT nspname, nspacl::text FROM pg_namespace WHERE nspname IN {SCHEMAS}",
}


@contextmanager
def _empty_database(engine: sa.Engine) -> Iterator[sa.Engine]:
    """A database without anything in it, on the same server."""
    name = f"empty_{uuid4().hex[:12]}"
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        conn.execute(sa.text(f"CREATE DATABASE {name} TEMPLATE template0"))
        made = create(engine.url.set(database=name).render_as_string(hide_password=False))
        try:
            yield made
        finally:
            made.dispose()
            conn.execute(sa.text(f"DROP DATABASE {name} WITH (FORCE)"))


def _catalogue(engine: sa.Engine) -> dict[str, list[str]]:
    with engine.connect() as conn:
        return {kind: sorted(str(tuple(row)) for row in conn.execute(sa.text(query))) for kind, query in CATALOGUE.items()}


@pytest.mark.postgres_versions
def test_migrations_make_exactly_the_schema(engine: sa.Engine) -> None:
    """A migrated database and one made from the metadata have the same catalogue, down to policies and grants."""
    with _empty_database(engine) as bare:
        with bare.begin() as conn:
            metadata.create_all(conn, checkfirst=False)
        from_metadata = _catalogue(bare)
    from_migrations = _catalogue(engine)
    assert len(from_migrations["columns"]) > 100
    for kind, rows in from_metadata.items():
        assert from_migrations[kind] == rows, kind


def test_racing_starters_migrate_once(engine: sa.Engine) -> None:
    """Of three that find an empty database, one migrates it and the others find it done."""
    with _empty_database(engine) as bare:
        done: list[bool] = []
        threads = [threading.Thread(target=lambda: done.append(migrations.upgrade(bare))) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(done) == [False, False, True]
        with bare.connect() as conn:
            assert migrations.current(conn) == migrations.head()


def test_a_newer_database_is_refused(engine: sa.Engine) -> None:
    """An older program says that the database is newer, instead of guessing."""
    with writing(engine) as conn:
        conn.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(migrations.MigrationFailed, match="newer version of Tidegate"):
        migrations.upgrade(engine)


@pytest.mark.postgres_versions
def test_an_owner_without_the_right_to_make_roles_is_told_what_is_missing(engine: sa.Engine) -> None:
    """On a managed server the pages' role may have to be made by the administrator: the error says how."""
    role = f"plain_{uuid4().hex[:8]}"
    hidden = (migrations.VERSIONS / "r0001_first_light.sql").read_text(encoding="utf-8").replace("tidegate_pages", f"{role}_pages")
    with _empty_database(engine) as bare:
        with bare.begin() as conn:
            conn.execute(sa.text(f"CREATE ROLE {role} NOLOGIN; GRANT {role} TO CURRENT_USER"))
            conn.execute(sa.text(f"GRANT CREATE ON DATABASE {bare.url.database} TO {role}"))
        with pytest.raises(sa.exc.DBAPIError, match=f"role {role}_pages is missing"), bare.begin() as conn:
            conn.execute(sa.text(f"SET LOCAL ROLE {role}"))
            conn.exec_driver_sql(hidden)
        with bare.begin() as conn:
            conn.execute(sa.text(f"DROP OWNED BY {role}; DROP ROLE {role}"))
