"""What an installation costs this machine: its processes, their memory and their CPU time, as the kernel counts them in /proc."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
HAS_PROC = (PROC / "self" / "smaps_rollup").is_file() and (PROC / "stat").is_file()
STRETCH_MOST = 3.0


@dataclass(frozen=True)
class Process:
    """One process, told from a later one of the same number by when it started (ticks since boot)."""

    pid: int
    started: int
    parent: int
    words: str
    ticks: int
    """CPU time of it and of the children it has waited for."""


def find(pid: int) -> Process | None:
    """The process now; None if it has ended, also if only its exit code still waits to be read."""
    try:
        fields = (PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        words = (PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except (FileNotFoundError, ProcessLookupError):
        return None
    if fields[0] in "ZX":
        return None
    return Process(pid, int(fields[19]), int(fields[1]), words, sum(int(each) for each in fields[11:15]))


def tree(root: int, marker: str) -> dict[int, Process]:
    """`root`, what descends from it, and whoever names `marker` in command line or environment, with what descends from that.

    The database does not stay a child of who started it; the marker, the home's path, finds it all the same.
    """
    running = {each.pid: each for pid in PROC.iterdir() if pid.name.isdigit() and (each := find(int(pid.name)))}
    inside = {pid for pid, each in running.items() if pid == root or marker in each.words or marker in _environment(pid)}
    inside.discard(os.getpid())
    while grown := {pid for pid, each in running.items() if each.parent in inside} - inside:
        inside |= grown
    return {pid: running[pid] for pid in inside}


def _environment(pid: int) -> str:
    try:
        return (PROC / str(pid) / "environ").read_bytes().decode(errors="replace")
    except OSError:  # ended meanwhile, or somebody else's
        return ""


def still_running(processes: dict[int, Process]) -> list[Process]:
    """Those of the processes that have not ended."""
    return [each for pid, each in processes.items() if (now := find(pid)) is not None and now.started == each.started]


def pss_bytes(processes: dict[int, Process]) -> int:
    """Memory of all together; a page that several share counts once. What ended meanwhile counts nothing."""
    total = 0
    for pid in processes:
        try:
            rollup = (PROC / str(pid) / "smaps_rollup").read_text(encoding="ascii")
        except (FileNotFoundError, ProcessLookupError):
            continue
        total += next(int(line.split()[1]) * 1024 for line in rollup.splitlines() if line.startswith("Pss:"))
    return total


class Stopwatch:
    """Measures how long an installation takes, and how much of the machine others used meanwhile."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._machine = _machine_ticks() if HAS_PROC else (0, 0)

    def seconds(self) -> float:
        """Wall time since it was started."""
        return time.monotonic() - self._began

    def stretch(self, ours: int) -> float:
        """By how much a promise stretches when others (all but our `ours` ticks) took their share of the CPU; 1 to STRETCH_MOST.

        Whoever gets half of a machine needs twice the time. Without /proc nobody can say who used what: then 2, as the
        suite's other worker may be at work all the time.
        """
        if not HAS_PROC:
            return 2.0
        busy, total = (now - then for now, then in zip(_machine_ticks(), self._machine, strict=True))
        others = max(0, busy - ours) / max(1, total)
        return min(STRETCH_MOST, 1 / max(0.01, 1 - others))


def _machine_ticks() -> tuple[int, int]:
    """Busy and all ticks of all cores since boot; what a hypervisor took away is busy."""
    user, nice, system, idle, waiting, *rest = (
        int(each) for each in (PROC / "stat").read_text(encoding="ascii").split("\n")[0].split()[1:9]
    )
    total = user + nice + system + idle + waiting + sum(rest)
    return total - idle - waiting, total


def ticks(processes: dict[int, Process]) -> int:
    """CPU time of all the processes so far, in the kernel's ticks."""
    return sum(each.ticks for each in processes.values())
