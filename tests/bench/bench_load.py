"""Cases 2 and 3: loading invoices into Postgres, all new and all known, against the COPY + ON CONFLICT floor, executemany and dlt."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import polars as pl
import psycopg
import sqlalchemy as sa

from db.bulk import content_hash, merge
from db.engine import writing
from db.schema.canonical import history_of, invoice
from tests.bench.dlt_arm import Dlt
from tests.bench.invoices import NOW, OWN, frame, rows
from tests.bench.ratios import Bench, Ratio, faster, rounds, seconds

TABLE = "canonical.invoice"
KEY = ["source", "source_key"]


def run(bench: Bench) -> Iterator[Ratio]:
    """The load cases, one after another."""
    url = bench.new_database()
    engine = bench.engine(url)
    plain = list(rows(bench.rows))
    ready = frame(bench.rows).drop("content_hash")
    columns = [column.name for column in invoice.columns]
    prebuilt = _hashed(ready).with_columns(recorded_at=pl.lit(NOW)).select(columns).write_csv(include_header=False).encode()

    def ours() -> None:
        with writing(engine) as conn:
            merge(conn, invoice, history_of("invoice"), _hashed(ready), now=NOW)

    def floor() -> None:
        copy_on_conflict(url, prebuilt, columns)

    def emptied(work: Callable[[], None]) -> Callable[[], float]:
        def timed() -> float:
            _empty(engine)
            return seconds(work)

        return timed

    for warming in (ours, floor):
        warming()
    arms = {"ours": emptied(ours), "floor": emptied(floor), "many": emptied(lambda: _executemany(url, plain))}
    new = rounds(bench.rounds, arms)
    rate = bench.rows / statistics.median(new["ours"])
    yield Ratio("3 load only, new rows", "Tidegate", "COPY+ON CONFLICT", faster(new["ours"], new["floor"]), None, rate=rate)
    yield Ratio("3 load only, new rows", "Tidegate", "executemany", faster(new["ours"], new["many"]), 1.8, rate=rate)
    _empty(engine)
    ours()
    same = rounds(bench.rounds, {"ours": lambda: seconds(ours), "floor": lambda: seconds(floor)})
    yield Ratio("2 all-duplicate replay", "Tidegate", "COPY+ON CONFLICT", faster(same["ours"], same["floor"]), 2.0,
                rate=bench.rows / statistics.median(same["ours"]))  # fmt: skip
    yield _wal(engine, ours, floor)
    yield _changed(bench, engine, url, ready)
    engine.dispose()
    yield from _against_dlt(bench, bench.new_database(), ready, plain)


def _hashed(ready: pl.DataFrame) -> pl.DataFrame:
    """The frame with its content hashes: working them out is part of our loading, so it runs inside the clock."""
    return ready.with_columns(content_hash(ready, [*OWN, "is_deleted"]).alias("content_hash"))


def _empty(engine: sa.Engine) -> None:
    with writing(engine) as conn:
        conn.execute(sa.text("truncate canonical.invoice, canonical.invoice_history"))


def _plain(url: str) -> str:
    return url.replace("postgresql+psycopg://", "postgresql://")


def copy_on_conflict(url: str, prebuilt: bytes, columns: list[str]) -> None:
    """The floor: bytes ready before the clock starts, one connection, one staging table, one statement."""
    names = ", ".join(columns)
    fresh = ", ".join(f"{name} = excluded.{name}" for name in columns if name not in ("source", "source_key"))
    with psycopg.connect(_plain(url)) as conn:
        conn.execute(f"create temp table stage (like {TABLE}) on commit drop")
        with conn.cursor().copy(f"copy stage ({names}) from stdin (format csv)") as copy:
            copy.write(prebuilt)
        conn.execute(
            f"insert into {TABLE} ({names}) select {names} from stage on conflict (source, source_key) do update set {fresh}"
            f" where {TABLE}.source_version < excluded.source_version"
        )


def _executemany(url: str, plain: list[dict[str, Any]]) -> None:
    names = list(plain[0])
    marks = ", ".join(f"%({name})s" for name in names)
    with psycopg.connect(_plain(url)) as conn, conn.cursor() as cursor:
        cursor.executemany(
            f"insert into {TABLE} ({', '.join(names)}, content_hash, recorded_at) values ({marks}, 0, now()) on conflict do nothing",
            plain,
        )


def _wal(engine: sa.Engine, ours: Callable[[], None], floor: Callable[[], None]) -> Ratio:
    def written(work: Callable[[], None]) -> float:
        with engine.connect() as conn:
            before = conn.execute(sa.text("select pg_current_wal_lsn()")).scalar_one()
            work()
            return float(conn.execute(sa.text("select pg_current_wal_lsn() - cast(:lsn as pg_lsn)"), {"lsn": str(before)}).scalar_one())

    written(ours)
    return Ratio("2 WAL of an all-duplicate replay", "Tidegate", "COPY+ON CONFLICT", (written(ours) / max(written(floor), 1.0),), 0.01,
                 at_most=True)  # fmt: skip


def _changed(bench: Bench, engine: sa.Engine, url: str, ready: pl.DataFrame) -> Ratio:
    """Every tenth record in a newer version, the others as they are; each run brings versions of its own."""
    columns = [column.name for column in invoice.columns]
    versions = count(2)
    tenth = pl.int_range(pl.len()) % 10 == 0

    def next_frame() -> pl.DataFrame:
        version = next(versions)
        newer = pl.when(tenth).then(pl.lit(version, pl.Int64)).otherwise(pl.col("source_version"))
        return ready.with_columns(source_version=newer, order_number=pl.when(tenth).then(pl.lit(str(version))).otherwise("order_number"))

    def ours() -> float:
        given = next_frame()

        def work() -> None:
            with writing(engine) as conn:
                merge(conn, invoice, history_of("invoice"), _hashed(given), now=NOW)

        return seconds(work)

    def floor() -> float:
        given = _hashed(next_frame()).with_columns(recorded_at=pl.lit(NOW)).select(columns).write_csv(include_header=False).encode()
        return seconds(lambda: copy_on_conflict(url, given, columns))

    found = rounds(bench.rounds, {"ours": ours, "floor": floor})
    rate = bench.rows / statistics.median(found["ours"])
    return Ratio("2 a tenth changed, history kept", "Tidegate", "COPY+ON CONFLICT", faster(found["ours"], found["floor"]), 1.4, rate=rate)


def _against_dlt(bench: Bench, url: str, ready: pl.DataFrame, plain: list[dict[str, Any]]) -> Iterator[Ratio]:
    """dlt merging the same rows by the same key, from a generator and from Arrow."""
    engine = bench.engine(url)
    peer = Dlt(url, bench.folder)
    peer.fresh(lambda: iter(plain[:100]), KEY)

    def ours() -> float:
        _empty(engine)

        def work() -> None:
            with writing(engine) as conn:
                merge(conn, invoice, history_of("invoice"), _hashed(ready), now=NOW)

        return seconds(work)

    arms = {
        "ours": ours,
        "generator": lambda: peer.fresh(lambda: iter(plain), KEY),
        "arrow": lambda: peer.fresh(ready.to_arrow, KEY),
    }
    found = rounds(bench.rounds, arms)
    rate = bench.rows / statistics.median(found["ours"])
    yield Ratio("3 load only, new rows", "Tidegate", "dlt, generator", faster(found["ours"], found["generator"]), 15.0, rate=rate)
    yield Ratio("3 load only, new rows", "Tidegate", "dlt, Arrow", faster(found["ours"], found["arrow"]), 5.0, rate=rate)
    engine.dispose()
