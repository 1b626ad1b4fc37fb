"""Life cycle of the embedded Postgres: the first user starts it, the last one stops it, a killed one harms nobody.

Every user process holds a shared lock on one file for as long as it uses the server; the kernel frees it even on
kill -9. Whoever leaves and can turn its lock into an exclusive one was the last and stops the server; when the
last ones were all killed, the guard process (`embedded_guard`) gets the exclusive lock and does it. A thread in
every user looks once a second whether the postmaster still lives and starts it again if not.

The server listens on a Unix socket in a private folder only, with scram passwords from a file that only the
starting account can read.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg
import structlog
from psycopg import sql
from sqlalchemy.engine import URL

from db import embedded_guard
from db.embedded_place import EmbeddedUnavailable, Place, prepare

START_SECONDS_MAX = 240.0
_OWNER = "tidegate"
_DATABASE = "tidegate"
_WATCH_SECONDS = 1.0
_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "max_wal_size": "1GB",
    "wal_compression": "on",
    "jit": "off",
    "log_timezone": "UTC",
    "timezone": "UTC",
    "lc_messages": "C",
    "password_encryption": "scram-sha-256",
}

log = structlog.get_logger(__name__)


class EmbeddedFailed(RuntimeError):
    """The embedded Postgres couldn't be made or started; the message quotes the end of its log."""


@dataclass
class Server:
    """One user's hold on a running embedded server. Leave it with `release()` or as a context manager."""

    url: str = field(repr=False)
    place: Place
    _settings: Mapping[str, str] = field(repr=False)
    _users_fd: int = field(repr=False)
    _children: list[subprocess.Popen[bytes]] = field(default_factory=list, repr=False)
    _leaving: threading.Event = field(default_factory=threading.Event, repr=False)
    _watcher: threading.Thread | None = field(default=None, repr=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.release()

    @property
    def pid(self) -> int | None:
        """The postmaster's process id, or None when it isn't running at this moment."""
        return embedded_guard.postmaster(str(self.place.data))

    def ensure_running(self) -> None:
        """Start the postmaster again if it has died; does nothing while it lives."""
        with _lock(self.place.folder / "start.lock"):
            started = _start(self.place, self._settings)
            if started is not None:
                self._children.append(started)

    def release(self) -> None:
        """Stop using the server; returns only when nothing is left behind if this was the last user."""
        if self._users_fd < 0:
            return
        self._leaving.set()
        if self._watcher is not None:
            self._watcher.join()
        if _try_lock(self._users_fd, fcntl.LOCK_EX):
            embedded_guard.stop(str(self.place.data))
        elif not _try_lock(self._users_fd, fcntl.LOCK_SH):
            # Somebody else holds it exclusively, so the server is being stopped: wait until that is done.
            fcntl.flock(self._users_fd, fcntl.LOCK_SH)
        os.close(self._users_fd)
        self._users_fd = -1
        if self.pid is None:
            for child in self._children:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.wait(timeout=5)

    def _watch(self) -> None:
        while not self._leaving.wait(_WATCH_SECONDS):
            for child in self._children:
                child.poll()
            self._post_guard()
            if self.pid is None:
                log.warning("embedded_postgres_died", folder=str(self.place.folder))
                try:
                    self.ensure_running()
                except (EmbeddedFailed, OSError) as error:
                    log.error("embedded_postgres_restart_failed", error=str(error))

    def _post_guard(self) -> None:
        """Start the guard unless one is alive: it holds the guard's lock for as long as it lives."""
        guard_fd = _open_lock(self.place.folder / "guard.lock")
        if not _try_lock(guard_fd, fcntl.LOCK_EX):
            os.close(guard_fd)
            return
        users_fd = _open_lock(self.place.folder / "users.lock")
        try:
            script = [sys.executable, "-I", "-S", embedded_guard.__file__, str(users_fd), str(guard_fd)]
            child = subprocess.Popen(
                [*script, str(self.place.data)],
                pass_fds=(users_fd, guard_fd),
                start_new_session=True,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
            )
        finally:
            os.close(users_fd)
            os.close(guard_fd)
        self._children.append(child)


def acquire(home: Path, version: int = 18, settings: Mapping[str, str] | None = None) -> Server:
    """Use the embedded Postgres of `home`, making and starting it when need be.

    `version` is 18 or 16 (from the wheel) or any major that Debian has installed. `settings` are server settings
    that apply if this call is the one that starts it. The server's `url` opens database `tidegate` as its owner,
    who is no superuser. Raises EmbeddedUnavailable or EmbeddedFailed with what to do.
    """
    if sys.platform == "win32":
        raise EmbeddedUnavailable("the embedded database needs Unix: set DATABASE_URL to a Postgres 15 or newer")
    place = prepare(home, version)
    users_fd = _open_lock(place.folder / "users.lock")
    fcntl.flock(users_fd, fcntl.LOCK_SH)
    try:
        with _lock(place.folder / "start.lock") as start_fd:
            _initialise(place, version, start_fd)
            started = _start(place, settings or {})
            _make_database(place)
        server = Server(_url(place), place, settings or {}, users_fd, [started] if started else [])
        server._post_guard()
    except BaseException:
        os.close(users_fd)
        raise
    server._watcher = threading.Thread(target=server._watch, name="embedded-postgres-watch", daemon=True)
    server._watcher.start()
    return server


def _url(place: Place) -> str:
    address = URL.create(
        "postgresql+psycopg",
        username=_OWNER,
        password=_password(place),
        database=_DATABASE,
        query={"host": str(place.sockets)},
    )
    return address.render_as_string(hide_password=False)


def _password(place: Place) -> str:
    return place.password_file.read_text(encoding="ascii").strip()


def _open_lock(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _try_lock(fd: int, kind: int) -> bool:
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[int]:
    fd = _open_lock(path)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield fd
    finally:
        os.close(fd)


def _as_account(place: Place) -> dict[str, Any]:
    """Keyword arguments for subprocess that make the child the unprivileged account, with a clean environment."""
    options: dict[str, Any] = {
        "stdin": subprocess.DEVNULL,
        "cwd": "/",
        "umask": 0o077,
        "env": {"PATH": f"{place.binaries}:/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"},
    }
    if place.account:
        options |= {"user": place.account.uid, "group": place.account.gid, "extra_groups": []}
    return options


def _initialise(place: Place, version: int, start_fd: int) -> None:
    """Make the data folder once. It's built aside and renamed, so a killed initdb leaves no half of one."""
    if place.data.exists():
        return
    for leftover in place.folder.glob("making-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    making = Path(tempfile.mkdtemp(dir=place.folder, prefix="making-"))
    password = secrets.token_urlsafe(32)
    given = making / "given-password"
    _write_private(given, password)
    if place.account:
        os.chown(making, place.account.uid, place.account.gid)
        os.chown(given, place.account.uid, place.account.gid)
    locale = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"] if version >= 17 else []
    done = subprocess.run(
        [str(place.binaries / "initdb"), "-D", str(making / "data"), "-U", "postgres", "-E", "UTF8", *locale]
        + ["--no-locale", "--data-checksums", "-A", "scram-sha-256", "--pwfile", str(given)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        # A killed starter leaves initdb running: holding the start lock, it keeps the next starter waiting.
        pass_fds=(start_fd,),
        check=False,
        **_as_account(place),
    )
    if done.returncode != 0:
        raise EmbeddedFailed(f"initdb failed in {place.folder}: {done.stdout.decode(errors='replace')[-800:]}")
    _write_private(place.password_file, password)
    (making / "data").rename(place.data)
    shutil.rmtree(making, ignore_errors=True)


def _write_private(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
        file.write(text)


def _start(place: Place, settings: Mapping[str, str]) -> subprocess.Popen[bytes] | None:
    """Start the postmaster unless it lives, and wait until it answers. The caller holds the start lock."""
    deadline = time.monotonic() + START_SECONDS_MAX
    child: subprocess.Popen[bytes] | None = None
    while time.monotonic() < deadline:
        pid = embedded_guard.postmaster(str(place.data))
        if pid is None and (child is None or child.poll() is not None):
            # Whatever the pid file names is dead or another program; Postgres itself still refuses to start
            # while a backend of the dead postmaster lives, which is why this is tried until the deadline.
            (place.data / "postmaster.pid").unlink(missing_ok=True)
            failed = child is not None
            if failed:
                _give_up_on_lasting_failure(place, deadline)
                time.sleep(0.2)
            child = _launch(place, settings)
        elif pid is not None and _answers(place):
            return child
        time.sleep(0.02)
    raise EmbeddedFailed(f"Postgres in {place.folder} didn't answer in {START_SECONDS_MAX:.0f} s: {_log_end(place)}")


def _launch(place: Place, settings: Mapping[str, str]) -> subprocess.Popen[bytes]:
    chosen = {**_SETTINGS, **settings, "unix_socket_directories": str(place.sockets)}
    flags = [word for name, value in chosen.items() for word in ("-c", f"{name}={value}")]
    log_fd = os.open(place.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        return subprocess.Popen(
            [str(place.binaries / "postgres"), "-D", str(place.data), *flags],
            stdout=log_fd,
            stderr=log_fd,
            start_new_session=True,
            **_as_account(place),
        )
    finally:
        os.close(log_fd)


def _give_up_on_lasting_failure(place: Place, deadline: float) -> None:
    """A start that fails for any reason but leftovers of the last server won't get better by trying again."""
    end = _log_end(place)
    passing = ("shared memory block", "lock file", "is being shut down", "still in use")
    if not any(words in end for words in passing) or time.monotonic() > deadline - START_SECONDS_MAX + 60:
        raise EmbeddedFailed(f"Postgres in {place.folder} doesn't start; its log ends: {end}")


def _log_end(place: Place) -> str:
    try:
        return place.log.read_text(encoding="utf-8", errors="replace")[-800:].strip()
    except OSError:
        return "(no log)"


def _connect(place: Place, user: str, database: str) -> psycopg.Connection[tuple[Any, ...]]:
    return psycopg.connect(
        host=str(place.sockets),
        user=user,
        password=_password(place),
        dbname=database,
        autocommit=True,
        connect_timeout=10,
    )


def _answers(place: Place) -> bool:
    try:
        with _connect(place, "postgres", "postgres"):
            return True
    except psycopg.OperationalError:
        return False


def _make_database(place: Place) -> None:
    """Make the owner role and its database once.

    The owner may make databases and roles and is no superuser. It bypasses row-level security, as its unscoped
    transactions see every region anyway and COPY into a table is refused to whom row-level security applies.
    """
    with _connect(place, "postgres", "postgres") as conn:
        if conn.execute("SELECT 1 FROM pg_database WHERE datname = %s", [_DATABASE]).fetchone():
            return
        owner = sql.Identifier(_OWNER)
        if not conn.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [_OWNER]).fetchone():
            password = sql.Literal(_password(place))
            conn.execute(sql.SQL("CREATE ROLE {} LOGIN CREATEDB CREATEROLE BYPASSRLS PASSWORD {}").format(owner, password))
        conn.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(_DATABASE), owner))
