"""What a journey's records were decided and waited for: decisions, cases, exceptions, and how long a person was waited for."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TypeAlias

import polars as pl

from db.engine import Reading
from metrics.frames import MOMENT, Question, ask

WAITS = Question(
    "journey_waits",
    {
        "kind": pl.String,
        "id": pl.Int64,
        "entity": pl.String,
        "source": pl.String,
        "object_key": pl.String,
        "outcome": pl.String,
        "words": pl.String,
        "opened_at": MOMENT,
        "closed_at": MOMENT,
    },
)

_ENTITIES = {
    "quote": "quote",
    "contract": "contract",
    "order": "sales_order",
    "delivery": "delivery",
    "invoice": "invoice",
    "payment": "payment",
    "clearing": "payment_application",
    "bank line": "bank_transaction",
}
"""The kinds of objects that are records of their own, with the records' entity; the other hops tell more of one of these."""

HopKey: TypeAlias = tuple[str, str, str]
"""A hop by its kind, system and number."""


def of(conn: Reading, objects: pl.DataFrame, *, until: datetime) -> pl.DataFrame:
    """The waits (frame WAITS) of a journey's objects that had begun at `until` (UTC); what ended later is open."""
    named = _records(objects)
    return ask(
        conn,
        WAITS,
        entities=named["entity"].to_list(),
        sources=named["source"].to_list(),
        record_keys=named["source_key"].to_list(),
        until=until,
    )


def human(objects: pl.DataFrame, waits: pl.DataFrame, at: datetime) -> dict[HopKey, float]:
    """Seconds that a person was waited for, by the hop of the record that waited."""
    at_record = waits.join(
        _records(objects), left_on=["entity", "source", "object_key"], right_on=["entity", "source", "source_key"], suffix="_of_object"
    )
    found = {}
    for (kind, source, number), group in at_record.group_by("kind_of_object", "source", "number"):
        found[str(kind), str(source), str(number)] = _open_seconds(group, at)
    return found


def is_case_open(waits: pl.DataFrame, row: Mapping[str, Any]) -> bool:
    """Whether a person still has to decide about the object `row`."""
    mine = (pl.col("source") == row["source"]) & (pl.col("object_key") == row["source_key"]) & (pl.col("entity") == _ENTITIES[row["kind"]])
    return not waits.filter((pl.col("kind") == "case") & pl.col("closed_at").is_null() & mine).is_empty()


def _records(objects: pl.DataFrame) -> pl.DataFrame:
    """The records behind the objects, each once: kind, entity, source, source_key, number."""
    return (
        objects.select("kind", "source", "source_key", "number")
        .with_columns(pl.col("kind").replace_strict(_ENTITIES, default=None, return_dtype=pl.String).alias("entity"))
        .drop_nulls("entity")
        .unique(maintain_order=True)
    )


def _open_seconds(waits: pl.DataFrame, at: datetime) -> float:
    """How long a person was waited for: overlapping cases and exceptions count once."""
    total, until = 0.0, datetime.min.replace(tzinfo=UTC)
    for opened, closed in sorted((opened, closed or at) for opened, closed in waits.select("opened_at", "closed_at").iter_rows()):
        start = max(opened, until)
        if closed > start:
            total += (closed - start).total_seconds()
            until = closed
    return total
