"""`make bench`: every case of docs on performance that exists here, as ratios; prints a table and writes bench.json.

`--only NAME` runs the modules whose name holds NAME and renews their lines of bench.json; every line says when and how it was taken.
`--rounds N` and `--rows N` change the size.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import pkgutil
import platform
import sys
import tempfile
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from psycopg import sql

import tests.bench as package
from db import embedded, migrations
from db.engine import create
from tests.bench.ratios import Bench, Ratio
from tests.conftest import database_url, maintenance

OUT = Path(__file__).resolve().parents[2] / "bench.json"


def main() -> int:
    """Runs the cases; 0 also when a goal is missed: a ratio is a finding, a crash is a failure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=30_000)
    asked = parser.parse_args()
    names = sorted(m.name for m in pkgutil.iter_modules(package.__path__) if m.name.startswith("bench_") and asked.only in m.name)
    found: list[Ratio] = []
    notes: list[str] = []
    with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as folder:
        server = embedded.acquire(Path(folder) / "postgres")
        try:
            bench = Bench(lambda: _new_database(server.url), Path(folder), asked.rounds, asked.rows, notes)
            for name in names:
                print(f"{name} ...", file=sys.stderr, flush=True)
                lines: Iterable[Ratio] = importlib.import_module(f"tests.bench.{name}").run(bench)
                for line in lines:
                    found.append(line)
                    print(_row(line), flush=True)
        finally:
            server.release()
    for note in notes:
        print(f"note: {note}")
    print(_verdict(found))
    _write(found, notes, asked)
    return 0


def _new_database(url: str) -> str:
    name = f"bench_{uuid.uuid4().hex[:12]}"
    with maintenance(url) as conn:
        conn.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    made = database_url(url, name)
    engine = create(made)
    try:
        migrations.upgrade(engine)
    finally:
        engine.dispose()
    return made


def _row(line: Ratio) -> str:
    bound = "" if line.goal is None else f"  goal {'<=' if line.at_most else '>='} {line.goal:g}  {'met' if line.met else 'MISSED'}"
    spread = f"[{min(line.values):.2f}-{max(line.values):.2f}]"
    rate = "" if line.rate is None else f"  ({line.rate:,.0f} {line.unit})"
    return f"{line.case:34} {line.ours} / {line.theirs}: {line.median:.2f}x {spread} n={len(line.values)}{bound}{rate}"


def _verdict(found: list[Ratio]) -> str:
    """How many goals are met, and by how much each other one is missed."""
    goals = [line for line in found if line.goal is not None]
    missed = [
        f"  {line.case}, {line.ours} / {line.theirs}: {line.median:.2f} where {'at most' if line.at_most else 'at least'} {line.goal:g} is the goal"
        for line in goals
        if not line.met
    ]
    return "\n".join([f"goals met: {len(goals) - len(missed)} of {len(goals)}", *missed])


def _write(found: list[Ratio], notes: list[str], asked: argparse.Namespace) -> None:
    """Writes a whole run; of a part of the cases it renews the lines and keeps the others."""
    taken = {"taken_at": datetime.now(UTC).isoformat(timespec="seconds"), "rounds": asked.rounds, "rows": asked.rows}
    fresh = [{**_line(line), **taken} for line in found]
    kept = json.loads(OUT.read_text(encoding="utf-8")) if asked.only and OUT.is_file() else {"ratios": [], "notes": []}
    names = {(line["case"], line["ours"], line["theirs"]) for line in fresh}
    others = [line for line in kept["ratios"] if (line["case"], line["ours"], line["theirs"]) not in names]
    document = {
        "machine": {"cores": os.cpu_count(), "python": platform.python_version(), "system": platform.system()},
        "ratios": others + fresh,
        "notes": [note for note in kept["notes"] if note not in notes] + notes,
    }
    OUT.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def _line(line: Ratio) -> dict[str, object]:
    return {
        "case": line.case, "ours": line.ours, "theirs": line.theirs, "median": round(line.median, 3), "min": round(min(line.values), 3),
        "max": round(max(line.values), 3), "n": len(line.values), "goal": line.goal, "at_most": line.at_most, "met": line.met,
        "rate": line.rate, "unit": line.unit,
    }  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
