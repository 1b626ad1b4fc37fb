"""Cases 2 and 3: loading invoices into Postgres, all new and all known, against the COPY + ON CONFLICT floor, executemany and dlt."""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable, Iterator
from typing import Any

import polars as pl
import psycopg
import sqlalchemy as sa

from db.bulk import merge
from db.engine import writing
from db.schema.canonical import history_of, invoice
from tests.bench.invoices import NOW, frame, rows
from tests.bench.ratios import Bench, Ratio, faster, rounds, seconds

TABLE = "canonical.invoice"


def run(bench: Bench) -> Iterator[Ratio]:
    """The load cases, one after another."""
    url = bench.new_database()
    engine = bench.engine(url)
    ready = frame(bench.rows)
    columns = [column.name for column in invoice.columns]
    prebuilt = ready.with_columns(recorded_at=pl.lit(NOW)).select(columns).write_csv(include_header=False).encode()

    def ours() -> None:
        with writing(engine) as conn:
            merge(conn, invoice, history_of("invoice"), ready, now=NOW)

    def floor() -> None:
        _copy_on_conflict(url, prebuilt, columns)

    def emptied(work: Callable[[], None]) -> Callable[[], float]:
        def timed() -> float:
            _empty(engine)
            return seconds(work)

        return timed

    new = rounds(bench.rounds, {"ours": emptied(ours), "floor": emptied(floor), "many": emptied(lambda: _executemany(url, bench.rows))})
    rate = bench.rows / statistics.median(new["ours"])
    yield Ratio("3 load only, new rows", "Tidegate", "COPY+ON CONFLICT", faster(new["ours"], new["floor"]), None, rate=rate)
    yield Ratio("3 load only, new rows", "Tidegate", "executemany", faster(new["ours"], new["many"]), 1.8, rate=rate)
    _empty(engine)
    ours()
    same = rounds(bench.rounds, {"ours": lambda: seconds(ours), "floor": lambda: seconds(floor)})
    yield Ratio("2 all-duplicate replay", "Tidegate", "COPY+ON CONFLICT", faster(same["ours"], same["floor"]), 2.0,
                rate=bench.rows / statistics.median(same["ours"]))  # fmt: skip
    yield _wal(engine, ours, floor)
    engine.dispose()
    yield from _against_dlt(bench, bench.new_database(), ready)


def _empty(engine: sa.Engine) -> None:
    with writing(engine) as conn:
        conn.execute(sa.text("truncate canonical.invoice, canonical.invoice_history"))


def _plain(url: str) -> str:
    return url.replace("postgresql+psycopg://", "postgresql://")


def _copy_on_conflict(url: str, prebuilt: bytes, columns: list[str]) -> None:
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


def _executemany(url: str, count: int) -> None:
    names = list(next(iter(rows(1))))
    marks = ", ".join(f"%({name})s" for name in names)
    with psycopg.connect(_plain(url)) as conn, conn.cursor() as cursor:
        cursor.executemany(
            f"insert into {TABLE} ({', '.join(names)}, content_hash, recorded_at) values ({marks}, 0, now()) on conflict do nothing",
            list(rows(count)),
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


def _against_dlt(bench: Bench, url: str, ready: pl.DataFrame) -> Iterator[Ratio]:
    """dlt merging the same rows by the same key, from a generator and from Arrow, into a schema of its own."""
    engine = bench.engine(url)
    os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
    numbers = iter(range(1000))

    def ours() -> float:
        _empty(engine)

        def work() -> None:
            with writing(engine) as conn:
                merge(conn, invoice, history_of("invoice"), ready, now=NOW)

        return seconds(work)

    def theirs(data: Callable[[], Any]) -> Callable[[], float]:
        return lambda: seconds(lambda: _dlt(bench, url, f"run{next(numbers)}", data()))

    arms = {"ours": ours, "generator": theirs(lambda: rows(bench.rows)), "arrow": theirs(ready.to_arrow)}
    found = rounds(min(bench.rounds, 3), arms)
    rate = bench.rows / statistics.median(found["ours"])
    yield Ratio("3 load only, new rows", "Tidegate", "dlt, generator", faster(found["ours"], found["generator"]), 15.0, rate=rate)
    yield Ratio("3 load only, new rows", "Tidegate", "dlt, Arrow", faster(found["ours"], found["arrow"]), 5.0, rate=rate)
    engine.dispose()


def _dlt(bench: Bench, url: str, name: str, data: Any) -> None:
    import dlt
    from dlt.common.configuration.specs import ConnectionStringCredentials

    pipeline = dlt.pipeline(
        pipeline_name=f"tidegate_{name}",
        pipelines_dir=str(bench.folder / "dlt"),
        destination=dlt.destinations.postgres(credentials=ConnectionStringCredentials(_plain(url))),
        dataset_name=name,
    )
    resource = dlt.resource(
        data, name="invoice", primary_key=["source", "source_key"], write_disposition={"disposition": "merge", "strategy": "upsert"}
    )
    pipeline.run(resource)
