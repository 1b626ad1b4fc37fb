"""The embedded server's life: racing starters, killed users, a killed server, the last one stops it, private to all."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import psycopg
import pytest

from db import embedded, embedded_guard, embedded_place
from db.embedded import Server

USER = """
import sys
from pathlib import Path
import psycopg
from db.embedded import acquire
server = acquire(Path(sys.argv[1]))
with psycopg.connect(server.url.replace("+psycopg", "")) as conn:
    conn.execute("CREATE TABLE IF NOT EXISTS visits (pid int); INSERT INTO visits VALUES (%s)" % __import__("os").getpid())
print(server.pid, flush=True)
sys.stdin.readline()
server.release()
"""


@pytest.fixture
def home() -> Iterator[Path]:
    """A home of this test's own, in a private folder; everything kept for it is removed afterwards."""
    made = Path(tempfile.mkdtemp(prefix="tidegate-life-"))
    made.chmod(0o700)
    yield made
    pointer = made / "postgres.place"
    if pointer.exists():
        shutil.rmtree(pointer.read_text(encoding="utf-8").strip(), ignore_errors=True)
    shutil.rmtree(made, ignore_errors=True)


def _user(home: Path) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", USER, str(home)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _ready(user: subprocess.Popen[str]) -> int:
    assert user.stdout is not None
    return int(user.stdout.readline())


def _leave(user: subprocess.Popen[str]) -> None:
    user.communicate("\n", timeout=60)
    assert user.returncode == 0


def _kill(user: subprocess.Popen[str]) -> None:
    user.kill()
    user.communicate(timeout=60)


def _until(true: Callable[[], bool], seconds: float = 20.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if true():
            return True
        time.sleep(0.05)
    return False


def _visits(server: Server) -> int:
    with psycopg.connect(server.url.replace("+psycopg", "")) as conn:
        row = conn.execute("SELECT count(*) FROM visits").fetchone()
        assert row is not None
        return int(row[0])


def _guards(data: Path) -> list[int]:
    found = []
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if str(data) in words and any("embedded_guard" in word for word in words):
            found.append(process.pid)
    return found


def test_three_cold_starters_share_one_server(home: Path) -> None:
    """Racing on a fresh home gives one server; it outlives the leavers and stops with the last one."""
    users = [_user(home) for _ in range(3)]
    assert len({_ready(user) for user in users}) == 1
    with embedded.acquire(home) as server:
        data = server.place.data
        for user in users:
            _leave(user)
        assert _visits(server) == 3
    assert embedded_guard.postmaster(str(data)) is None
    assert _until(lambda: not _guards(data))


def test_killed_users_leave_no_server_behind(home: Path) -> None:
    """When every user is killed the guard stops the server, and what they committed is there at the next start."""
    users = [_user(home) for _ in range(2)]
    pid = {_ready(user) for user in users}.pop()
    for user in users:
        _kill(user)
    assert _until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    with embedded.acquire(home) as server:
        assert _visits(server) == 2
        assert _until(lambda: len(_guards(server.place.data)) == 1)


def test_a_killed_user_harms_no_other(home: Path) -> None:
    """The server goes on for the others when one of its users, even the one who started it, is killed."""
    first = _user(home)
    pid = _ready(first)
    with embedded.acquire(home) as server:
        _kill(first)
        assert server.pid == pid
        assert _visits(server) == 1


def test_a_killed_guard_is_replaced(home: Path) -> None:
    """Killing the guard is repaired while anyone uses the server, and costs nothing when the last one leaves."""
    with embedded.acquire(home) as server:
        guard = _guards(server.place.data)[0]
        os.kill(guard, signal.SIGKILL)
        assert _until(lambda: _guards(server.place.data) not in ([], [guard]))
        data = server.place.data
    assert embedded_guard.postmaster(str(data)) is None


def test_a_killed_postmaster_comes_back_with_its_data(home: Path) -> None:
    """After kill -9 of the postmaster a user that does nothing gets it back, with everything committed."""
    user = _user(home)
    _ready(user)
    _leave(user)
    with embedded.acquire(home) as server:
        pid = server.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        assert _until(lambda: server.pid not in (None, pid))
        assert _until(lambda: _answers(server))
        assert _visits(server) == 1


def _answers(server: Server) -> bool:
    try:
        return _visits(server) >= 0
    except psycopg.OperationalError:
        return False


def test_everything_killed_at_once_is_survived(home: Path) -> None:
    """User, guard and postmaster killed -9 together: the next start has the data, and stops cleanly."""
    user = _user(home)
    pid = _ready(user)
    data = Path(psutil.Process(pid).cmdline()[2])
    for victim in (*_guards(data), pid):
        os.kill(victim, signal.SIGKILL)
    _kill(user)
    with embedded.acquire(home) as server:
        assert _visits(server) == 1
    assert embedded_guard.postmaster(str(data)) is None


def test_a_stale_pid_file_naming_a_stranger_is_seen_through(home: Path) -> None:
    """A pid file left from before a reboot may name any living process: it is neither believed nor harmed."""
    with embedded.acquire(home) as server:
        data = server.place.data
    (data / "postmaster.pid").write_text(f"{os.getpid()}\n{data}\n", encoding="utf-8")
    with embedded.acquire(home) as server:
        assert server.pid not in (None, os.getpid())


def test_nobody_else_can_reach_it(home: Path) -> None:
    """The server trusts nobody: a wrong password is refused, files are private, and the home keeps its mode."""
    with embedded.acquire(home) as server:
        url = server.url.replace("+psycopg", "")
        password = server.place.password_file.read_text(encoding="ascii")
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(url.replace(password, "guess"))
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(host=str(server.place.sockets), user="postgres", dbname="postgres")
        private = (server.place.data, server.place.sockets, server.place.password_file)
        assert all(path.stat().st_mode & 0o077 == 0 for path in private)
        assert home.stat().st_mode & 0o777 == 0o700
        assert password not in repr(server)
        assert str(server.place.sockets) not in Path("/proc/net/tcp").read_text(encoding="ascii")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another account")
def test_another_account_is_refused(home: Path) -> None:
    """Another unprivileged account can't even open the socket, and can't read data or password."""
    with embedded.acquire(home) as server:
        place = server.place
        refused = _refusals_of_stranger(
            lambda: socket.socket(socket.AF_UNIX).connect(f"{place.sockets}/.s.PGSQL.5432"),
            lambda: list(place.data.iterdir()),
            place.password_file.read_bytes,
        )
    assert refused == 3


def _refusals_of_stranger(*attempts: Callable[[], object]) -> int:
    """How many of `attempts` fail for want of permission when the account `daemon` makes them."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    refused = 0
    os.setgroups([])
    os.setgid(1)
    os.setuid(1)
    for attempt in attempts:
        try:
            attempt()
        except PermissionError:
            refused += 1
    os._exit(refused)


def test_copied_binaries_run(tmp_path: Path) -> None:
    """Where the account can't reach the installation, a copy of its programs and libraries does the same."""
    installed = embedded_place._binaries(18, None, tmp_path)
    copied = tmp_path / "copy"
    embedded_place._copy_binaries(installed.parents[1], installed.parent.name, copied)
    programs = copied / installed.parents[1].name / installed.parent.name / "bin"
    for program in ("postgres", "initdb", "psql"):
        done = subprocess.run([str(programs / program), "--version"], capture_output=True, text=True, check=True)
        assert " 18." in done.stdout
