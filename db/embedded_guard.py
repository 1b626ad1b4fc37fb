"""Looking at and stopping a postmaster, and the guard: a small process that stops it when every user is gone.

Runs as a script under `python -I -S`, so it imports the standard library's lightest parts and nothing of ours.
The guard waits for the exclusive lock on the users' file. The kernel gives it that lock only when no user holds
a shared one any more, whether they left in good order or were killed; then it stops the server and ends. Killing
the guard costs nothing: the next user starts another, and the last user to leave stops the server itself.
"""

import fcntl
import os
import signal
import sys
import time

STOP_SECONDS = 60.0
_HAS_PROC = os.access("/proc/self/stat", os.R_OK)


def postmaster(data: str) -> int | None:
    """The process id of the living postmaster of data directory `data`, or None.

    A pid file that names a dead process, a zombie or some other program counts as no postmaster.
    """
    try:
        with open(f"{data}/postmaster.pid", encoding="utf-8", errors="replace") as file:  # noqa: PTH123 - pathlib is too heavy here
            pid = int(file.readline())
    except (OSError, ValueError):
        return None
    return pid if pid > 1 and _is_postgres(pid, data) else None


def _is_postgres(pid: int, data: str) -> bool:
    if _HAS_PROC:
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:  # noqa: PTH123
                state = file.read().rpartition(")")[2].split()[0]
            with open(f"/proc/{pid}/cmdline", "rb") as file:  # noqa: PTH123
                words = file.read().split(b"\0")
        except OSError:
            return False
        return state not in "ZX" and os.fsencode(data) in words
    command = os.popen(f"ps -o stat=,command= -p {pid}").read()  # noqa: S605 - a number is all that is put in
    return bool(command) and not command.startswith("Z") and data in command


def stop(data: str, seconds: float = STOP_SECONDS) -> bool:
    """Ask the postmaster of `data` for a fast shutdown, then insist; True when none is left."""
    pid = postmaster(data)
    if pid is None:
        return True
    for request, patience in ((signal.SIGINT, seconds), (signal.SIGQUIT, 10.0)):
        try:
            os.kill(pid, request)
        except ProcessLookupError:
            return True
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            if postmaster(data) != pid:
                return True
            time.sleep(0.02)
    return False


def main(users_fd: int, guard_fd: int, data: str) -> None:
    """Wait until nobody uses the server, stop it, and free the guard's lock before the users' lock."""
    for ignored in (signal.SIGINT, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    fcntl.flock(users_fd, fcntl.LOCK_EX)
    stop(data)
    os.close(guard_fd)
    os.close(users_fd)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
