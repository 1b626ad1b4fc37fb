"""Cases 1, 2 and 5: S/4HANA's billing documents over HTTP into Postgres, with landing and events, against the bare floor and dlt."""

from __future__ import annotations

import http.client
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import polars as pl
import requests
import sqlalchemy as sa

from db.schema.canonical import invoice
from tests.bench.bench_load import copy_on_conflict
from tests.bench.billing_pages import PAGE, SERVICE, STEP
from tests.bench.billing_server import serving
from tests.bench.dlt_arm import Dlt
from tests.bench.pull_once import pull_all
from tests.bench.ratios import Bench, Ratio, faster, rounds, seconds
from tests.bench.served import ROOT

DLT_ROUNDS = 3
FLOOR_BATCH = 10 * PAGE
LATENCY_MS = 50
PEAK_MB = 300


def run(bench: Bench) -> Iterator[Ratio]:
    """Everything new, everything known already, with a slow host, and how much memory it takes."""
    pages = max(bench.rows // STEP, 4)
    with serving(pages) as host, serving(pages * 3) as larger:
        url = bench.new_database()
        engine = bench.engine(url)
        tables = _written(engine, lambda: pull_all(engine, host, pages * STEP))
        batches, columns = _prebuilt(engine)

        def emptied(work: Callable[[], object]) -> Callable[[], float]:
            def timed() -> float:
                _empty(engine, tables)
                return seconds(work)

            return timed

        def ours() -> None:
            pull_all(engine, host, pages * STEP)

        def floor() -> None:
            for batch in batches:
                copy_on_conflict(url, batch, columns)

        new = rounds(bench.rounds, {"ours": emptied(ours), "floor": emptied(floor)})
        rate = pages * STEP / statistics.median(new["ours"])
        yield Ratio("1 pull, new rows, landed, events", "Tidegate", "COPY+ON CONFLICT", faster(new["ours"], new["floor"]), 0.9, rate=rate)
        yield from _replayed(bench, ours, floor, pages)
        yield from _against_dlt(bench, {"ours": emptied(ours), "ours again": lambda: seconds(ours)}, host, pages)
        yield from _slow_host(bench, emptied(ours), host)
        yield from _memory(bench, host, pages, larger)
        engine.dispose()


def _replayed(bench: Bench, ours: Callable[[], object], floor: Callable[[], object], pages: int) -> Iterator[Ratio]:
    ours()
    same = rounds(bench.rounds, {"ours": lambda: seconds(ours), "floor": lambda: seconds(floor)})
    rate = pages * STEP / statistics.median(same["ours"])
    yield Ratio("2 pull, all known", "Tidegate", "COPY+ON CONFLICT", faster(same["ours"], same["floor"]), 2.0, rate=rate)


def _against_dlt(bench: Bench, ours: dict[str, Callable[[], float]], host: str, pages: int) -> Iterator[Ratio]:
    """dlt over requests on the same pages, flattened for it and without their overlap: nested lists would cost it tables of their own."""
    peer = Dlt(bench.new_database(), bench.folder / "pull")
    key = ["BillingDocument"]
    peer.fresh(lambda: iter(_flat(host, 1)), key)
    arms: dict[str, Callable[[], float]] = {
        **ours,
        "new": lambda: peer.fresh(lambda: _flat(host, pages), key),
        "again": lambda: peer.again(lambda: _flat(host, pages), key),
    }
    # Never turned: "again" merges what came new in the same round.
    found: dict[str, list[float]] = {name: [] for name in arms}
    for _ in range(min(bench.rounds, DLT_ROUNDS)):
        for name, arm in arms.items():
            found[name].append(arm())
    rate = pages * STEP / statistics.median(found["ours"])
    yield Ratio("1 pull, new rows, landed, events", "Tidegate", "dlt", faster(found["ours"], found["new"]), 6.0, rate=rate)
    rate = pages * STEP / statistics.median(found["ours again"])
    yield Ratio("2 pull, all known", "Tidegate", "dlt", faster(found["ours again"], found["again"]), 15.0, rate=rate)


def _slow_host(bench: Bench, ours: Callable[[], float], host: str) -> Iterator[Ratio]:
    def waiting() -> float:
        _latency(host, LATENCY_MS)
        try:
            return ours()
        finally:
            _latency(host, 0)

    found = rounds(min(bench.rounds, DLT_ROUNDS), {"slow": waiting, "quick": ours})
    yield Ratio(f"5 pull under {LATENCY_MS} ms latency", "slow host", "quick host", faster(found["slow"], found["quick"]), 0.9)


def _memory(bench: Bench, host: str, pages: int, larger: str) -> Iterator[Ratio]:
    """The most memory that a process of its own held, for these rows and for three times as many."""
    one, three = _peak_mb(bench, host, pages), _peak_mb(bench, larger, pages * 3)
    yield Ratio(
        f"3 peak memory, {pages * 3 * STEP} rows", "Tidegate", f"{PEAK_MB} MB", (three / PEAK_MB,), 1.0, at_most=True, rate=three, unit="MB"
    )
    yield Ratio("10 peak memory, three times the rows", "3x", "1x", (three / one,), 1.2, at_most=True)


def _peak_mb(bench: Bench, host: str, pages: int) -> float:
    command = [sys.executable, "-m", "tests.bench.pull_once", bench.new_database(), host, str(pages * STEP)]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return float(said.split()[-1])


def _latency(host: str, ms: int) -> None:
    connection = http.client.HTTPConnection(urlsplit(host).netloc, timeout=5)
    connection.request("GET", f"/latency?ms={ms}")
    connection.getresponse().read()
    connection.close()


def _flat(host: str, pages: int) -> Iterator[list[dict[str, Any]]]:
    with requests.Session() as session:
        for number in range(pages):
            answer = session.get(f"{host}{SERVICE}/A_BillingDocument", params={"$skip": str(number * STEP)}, timeout=30)
            records: list[dict[str, Any]] = answer.json()["d"]["results"][:STEP]
            for record in records:
                del record["__metadata"]
                record["SalesDocument"] = record.pop("to_Item")["results"][0]["SalesDocument"]
            yield records


def _written(engine: sa.Engine, work: Callable[[], object]) -> list[str]:
    """Runs `work`; the tables that have rows afterwards and had none before."""

    def filled() -> set[str]:
        with engine.connect() as conn:
            names = conn.execute(sa.text("select schemaname || '.' || tablename from pg_tables where schemaname = any(:all)"),
                                 {"all": ["raw", "canonical", "process", "measure"]}).scalars().all()  # fmt: skip
            return {name for name in names if conn.execute(sa.text(f"select exists (select from {name})")).scalar_one()}

    before = filled()
    work()
    return sorted(filled() - before)


def _empty(engine: sa.Engine, tables: list[str]) -> None:
    with engine.begin() as conn:
        conn.execute(sa.text(f"truncate {', '.join(tables)} cascade"))


def _prebuilt(engine: sa.Engine) -> tuple[list[bytes], list[str]]:
    """What the pull made of the pages, as CSV in batches of ten pages: the floor has to do nothing but write it."""
    columns = [column.name for column in invoice.columns]
    with engine.connect() as conn:
        rows = pl.read_database(f"select {', '.join(columns)} from canonical.invoice order by source_key", conn, infer_schema_length=None)
    return [part.write_csv(include_header=False).encode() for part in rows.iter_slices(FLOOR_BATCH)], columns
