"""Fixtures that every kind of test may use: a server per session, a fresh database per test, a clock that stands.

The server is the embedded one under the session's temporary folder, or the one of TIDEGATE_TEST_DATABASE_URL
(whose user must be allowed to create databases). Every test that asks for `database` gets its own clone of one
migrated template, also under pytest-xdist.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import hypothesis
import psycopg
import pytest
import sqlalchemy as sa
from psycopg import sql

from db import embedded, migrations
from db.clock import FixedClock
from db.engine import create
from db.settings import sqlalchemy_url

DEFAULT_VERSION = 18
_FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_connections": "150"}
_EXTERNAL = "TIDEGATE_TEST_DATABASE_URL"
WHOLE_INSTALLATION = pytest.mark.xdist_group("whole-installation")
"""For every test that runs a whole installation, or its worker beside the sandbox: two at once would thrash a machine of two cores."""

# Whoever else uses the machine decides how long an example takes; the suite's own timeout bounds it.
hypothesis.settings.register_profile("tidegate", deadline=None)
hypothesis.settings.load_profile("tidegate")


def pytest_make_parametrize_id(config: pytest.Config, val: object, argname: str) -> str | None:  # noqa: ARG001
    """Bytes don't name a test: those of an archive hold the second of its making, and two workers would not know each other's tests."""
    return argname if isinstance(val, bytes) and len(val) > 24 else None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run tests marked `postgres_versions` once per version that can be started here."""
    if "server_version" in metafunc.fixturenames and metafunc.definition.get_closest_marker("postgres_versions"):
        metafunc.parametrize("server_version", available_versions(), indirect=True, ids=lambda v: f"pg{v}")


def available_versions() -> list[int]:
    """The Postgres majors that tests can start: those of the wheel, and Debian's 15 where it's installed."""
    if os.environ.get(_EXTERNAL):
        return [DEFAULT_VERSION]
    debian = [15] if Path("/usr/lib/postgresql/15/bin/postgres").exists() else []
    return [DEFAULT_VERSION, 16, *debian]


class Servers:
    """The session's servers by major version, each started on first use, each with one migrated template."""

    def __init__(self, home: Path, stack: ExitStack) -> None:
        self._home = home
        self._stack = stack
        self._ready: dict[int, tuple[str, str]] = {}

    def ready(self, version: int) -> tuple[str, str]:
        """The server's address and the name of its template database."""
        if version not in self._ready:
            external = os.environ.get(_EXTERNAL)
            url = sqlalchemy_url(external) if external else self._stack.enter_context(self._embedded(version))
            self._ready[version] = (url, _template(url))
        return self._ready[version]

    @contextmanager
    def _embedded(self, version: int) -> Iterator[str]:
        server = embedded.acquire(self._home, version, _FAST)
        try:
            yield server.url
        finally:
            server.release()
            if server.pid is None:
                shutil.rmtree(server.place.folder, ignore_errors=True)


def _template(url: str) -> str:
    """The name of a migrated database to clone, made once for all the session's processes."""
    frozen = b"".join(path.read_bytes() for path in sorted(migrations.VERSIONS.iterdir()) if path.is_file())
    name = f"template_{hashlib.sha256(frozen).hexdigest()[:12]}"
    with maintenance(url) as conn:
        conn.execute("SELECT pg_advisory_lock(hashtext('tidegate.tests'))")
        made = conn.execute("SELECT datistemplate FROM pg_database WHERE datname = %s", [name]).fetchone()
        if made == (True,):
            return name
        drop_database(conn, name)
        conn.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        engine = create(database_url(url, name))
        try:
            migrations.upgrade(engine)
        finally:
            engine.dispose()
        conn.execute(sql.SQL("ALTER DATABASE {} WITH IS_TEMPLATE true").format(sql.Identifier(name)))
    return name


@contextmanager
def maintenance(url: str) -> Iterator[psycopg.Connection]:
    """An autocommit connection to the server's own database, for making and dropping others."""
    with psycopg.connect(url.replace("postgresql+psycopg://", "postgresql://"), autocommit=True) as conn:
        yield conn


def database_url(url: str, name: str) -> str:
    """The address of database `name` on the server of `url`."""
    return sa.make_url(url).set(database=name).render_as_string(hide_password=False)


def drop_database(conn: psycopg.Connection, name: str) -> None:
    """Drop database `name` if it exists, whoever is connected to it.

    Only a superuser may end an autovacuum worker that happens to be at work there: it is waited for.
    """
    for patience in range(20):
        try:
            conn.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
            return
        except psycopg.errors.InsufficientPrivilege:
            if patience == 19:
                raise
            time.sleep(0.5)


def clone_database(conn: psycopg.Connection, name: str, template: str) -> None:
    """Make database `name` out of `template`: files are copied, which takes an eighth of what putting every page into the log takes."""
    statement = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY")
    conn.execute(statement.format(sql.Identifier(name), sql.Identifier(template)))


@contextmanager
def cloned_database(servers: Servers, version: int) -> Iterator[str]:
    """A migrated, empty database of its own; dropped at the end."""
    url, template = servers.ready(version)
    name = f"test_{uuid.uuid4().hex[:16]}"
    with maintenance(url) as conn:
        clone_database(conn, name, template)
    try:
        yield database_url(url, name)
    finally:
        with maintenance(url) as conn:
            drop_database(conn, name)


@pytest.fixture(scope="session")
def postgres_servers(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Servers]:
    """The session's servers, shared by all its xdist workers."""
    base = tmp_path_factory.getbasetemp()
    home = (base.parent if hasattr(request.config, "workerinput") else base) / "postgres"
    with ExitStack() as stack:
        yield Servers(home, stack)


@pytest.fixture
def server_version(request: pytest.FixtureRequest) -> int:
    """The Postgres major this test runs on."""
    return int(getattr(request, "param", DEFAULT_VERSION))


@pytest.fixture
def database(postgres_servers: Servers, server_version: int) -> Iterator[str]:
    """The address of a migrated, empty database of this test's own."""
    with cloned_database(postgres_servers, server_version) as url:
        yield url


@pytest.fixture
def engine(database: str) -> Iterator[sa.Engine]:
    """An engine over this test's own database."""
    made = create(database, application="tidegate-test")
    yield made
    made.dispose()


@pytest.fixture
def clock() -> FixedClock:
    """Business time standing at nine on Monday, 2 March 2026, UTC."""
    return FixedClock(datetime(2026, 3, 2, 9, 0, tzinfo=UTC))
