"""What a source says is gone by its key alone becomes a row like any other: the one that is held, marked as deleted.

A source that deletes without a trace is asked now and then for everything that it has; of what is missing nobody knows more than the
key. The amounts and dates of the deleted row are the last ones known, so that its history still explains the figures of the past.
"""

from __future__ import annotations

from dataclasses import replace

import polars as pl

from db.bulk import read_frame
from db.engine import Writing
from db.schema.canonical import ENTITIES
from sync.canonical.checks import frame_schema
from sync.canonical.contracts import CONTRACTS
from sync.promotion_batch import Batch

_SAYS = ("source_version", "changed_at", "record", "raw_record_id")


def with_gone(conn: Writing, source: str, batch: Batch) -> Batch:
    """The batch with a deleted row for each thing that is gone and held, in the batch itself or in the database; the rest is dropped."""
    if batch.gone.is_empty():
        return batch
    frames = dict(batch.frames)
    for (entity,), gone in batch.gone.group_by("entity", maintain_order=True):
        name = str(entity)
        arriving = frames.get(name)
        known = _held(conn, source, name, gone["source_key"].unique().to_list())
        if arriving is not None:
            known = pl.concat([known, arriving.select(known.columns).cast(known.schema)])
        known = known.sort("source_version", maintain_order=True).unique("source_key", keep="last")
        rows = _deleted(known, gone)
        if not rows.is_empty():
            frames[name] = rows if arriving is None else pl.concat([arriving, rows.select(arriving.columns).cast(arriving.schema)])
    return replace(batch, frames=frames)


def _held(conn: Writing, source: str, entity: str, keys: list[str]) -> pl.DataFrame:
    """The rows that the database holds under these keys, in the types of their contract."""
    schema = frame_schema(CONTRACTS[entity])
    columns = ", ".join(f'"{name}"' for name in schema)
    query = f"select {columns} from {ENTITIES[entity].fullname} where source = %(source)s and source_key = any(%(keys)s)"
    return read_frame(conn, query, schema, {"source": source, "keys": keys})


def _deleted(known: pl.DataFrame, gone: pl.DataFrame) -> pl.DataFrame:
    said = gone.select("source_key", *_SAYS).rename({"source_version": "_version"}).drop("changed_at")
    said = said.with_columns(_at=gone["changed_at"])
    return (
        known.join(said, on="source_key", maintain_order="right")
        .filter(~pl.col("is_deleted") & (pl.col("_version") >= pl.col("source_version")))
        .with_columns(is_deleted=pl.lit(value=True), source_version=pl.col("_version"), changed_at=pl.col("_at"))
        .drop("_version", "_at")
    )
