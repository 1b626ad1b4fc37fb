"""Case 11: 100,000 entries of camt.053, MT940 and BAI2 from bytes to canonical rows: time against the plain parse, memory against 100 MB,
and both libraries beside it.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.bench.ratios import Bench, Ratio, faster
from tests.bench.read_once import ARMS
from tests.bench.statement_files import MADE

ENTRIES = 100_000
ROUNDS = 3
GROWTH_MB = 100


@dataclass(frozen=True, slots=True)
class _Run:
    seconds: float
    growth_mb: float


def run(bench: Bench) -> Iterator[Ratio]:
    """Every arm in a process of its own, turn by turn: what one leaves in memory is not the other's."""
    for form, made in MADE.items():
        path = bench.folder / f"{form}.statement"
        path.write_bytes(made(ENTRIES))
        names = [name for kind, name in ARMS if kind == form]
        found: dict[str, list[_Run]] = {name: [] for name in names}
        for number in range(ROUNDS):
            shift = number % len(names)
            for name in names[shift:] + names[:shift]:
                found[name].append(_once(form, name, path))
        path.unlink()
        yield from _ratios(form, found)


def _ratios(form: str, found: dict[str, list[_Run]]) -> Iterator[Ratio]:
    took = {name: [each.seconds for each in runs] for name, runs in found.items()}
    rate = ENTRIES / statistics.median(took["ours"])
    slower = tuple(own / floor for own, floor in zip(took["ours"], took["floor"], strict=True))
    yield Ratio(f"11 {form}, 100k entries, time", "Tidegate", "plain parse", slower, at_most=True, rate=rate, unit="entries/s")
    grown = tuple(each.growth_mb / GROWTH_MB for each in found["ours"])
    yield Ratio(f"11 {form}, 100k entries, growth", "Tidegate", f"{GROWTH_MB} MB", grown, 1.0, at_most=True,
                rate=statistics.median(grown) * GROWTH_MB, unit="MB")  # fmt: skip
    if "library" in found:
        peer = {"MT940": "mt-940", "BAI2": "bai2"}[form]
        yield Ratio(f"11 {form}, against the library", "Tidegate", peer, faster(took["ours"], took["library"]), rate=rate, unit="entries/s")
        less = tuple(other.growth_mb / own.growth_mb for own, other in zip(found["ours"], found["library"], strict=True))
        yield Ratio(f"11 {form}, memory of the library", peer, "Tidegate", less)


def _once(form: str, arm: str, path: Path) -> _Run:
    command = [sys.executable, "-m", "tests.bench.read_once", form, arm, str(path)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=900)
    seconds, growth, count = done.stdout.split()
    if int(count) != ENTRIES:
        raise AssertionError(f"{form} by {arm}: {count} entries were read of {ENTRIES}")
    return _Run(float(seconds), float(growth))
