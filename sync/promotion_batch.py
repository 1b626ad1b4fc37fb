"""A batch on its way from mapped pages to canonical rows: its records, its frames, and what was refused so far. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Self

import polars as pl

from db.schema.raw import ORDINAL_BITS
from sync.canonical.checks import conform, violations
from sync.canonical.contracts import CONTRACTS, Contract
from sync.ports import GONE_SCHEMA, REJECT_SCHEMA, Complete, Mapped

REJECTED: dict[str, pl.DataType] = {
    **{name: dtype for name, dtype in REJECT_SCHEMA.items() if name != "ordinal"},
    "record": pl.Int64(),
    "raw_record_id": pl.Int64(),
    "source_version": pl.Int64(),
    "legal_entity": pl.String(),
}
"""A refused record: `record` is its number in the batch, the rest tells why and what is at stake."""

GONE: dict[str, pl.DataType] = {
    **{name: dtype for name, dtype in GONE_SCHEMA.items() if name != "ordinal"},
    "record": pl.Int64(),
    "raw_record_id": pl.Int64(),
}
"""What a record says is gone, by its key alone."""

RECORDS: dict[str, pl.DataType] = {"record": pl.Int64(), "raw_record_id": pl.Int64(), "seen_before": pl.Boolean()}


@dataclass(frozen=True, slots=True)
class MappedPage:
    """A landed page in canonical words. `seen_before`: the same bytes had been landed already."""

    page_id: int
    seen_before: bool
    mapped: Mapped


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of records: `received` is always the sum of the others."""

    received: int = 0
    promoted: int = 0
    unchanged: int = 0
    duplicates: int = 0
    superseded: int = 0
    quarantined: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(getattr(self, name) + getattr(other, name) for name in self.__slots__))

    def as_dict(self) -> dict[str, int]:
        """The counts by name."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Batch:
    """`records`: one row per record (RECORDS). `frames`: entity -> rows with `record` and `raw_record_id`. `rejects`: REJECTED.

    `gone`: frame of GONE. `complete`: what pages say of all records there are, with the page's number in the batch and its id.
    """

    records: pl.DataFrame
    frames: Mapping[str, pl.DataFrame]
    rejects: pl.DataFrame
    gone: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=GONE))
    complete: tuple[tuple[int, int, Complete], ...] = ()

    def reject(self, refused: pl.DataFrame) -> Self:
        """The batch without the refused records: if one row of a record can't pass, none of its rows lands."""
        if refused.is_empty():
            return self
        rejects = pl.concat([self.rejects, refused.select(REJECTED.keys())])
        gone = rejects["record"].unique().implode()
        frames = {entity: frame.filter(~pl.col("record").is_in(gone)) for entity, frame in self.frames.items()}
        return replace(self, frames=frames, rejects=rejects, gone=self.gone.filter(~pl.col("record").is_in(gone)))

    def only(self, records: pl.Series) -> Self:
        """The part of the batch that concerns these record numbers. It names no longer everything there is."""
        keep = pl.col("record").is_in(records.implode())
        return replace(
            self,
            records=self.records.filter(keep),
            frames={entity: frame.filter(keep) for entity, frame in self.frames.items()},
            rejects=self.rejects.filter(keep),
            gone=self.gone.filter(keep),
            complete=(),
        )

    def halves(self) -> tuple[Self, Self]:
        """Two parts with half of the records each."""
        numbers = self.records["record"]
        middle = len(numbers) // 2
        return self.only(numbers[:middle]), self.only(numbers[middle:])


def gather(pages: Sequence[MappedPage]) -> Batch:
    """The pages as one batch, in their order; rows conform to their contracts' types, nothing is checked yet."""
    records: list[pl.DataFrame] = []
    rejects: list[pl.DataFrame] = []
    gone: list[pl.DataFrame] = []
    frames: dict[str, list[pl.DataFrame]] = {}
    for slot, page in enumerate(pages):
        names = pl.col("ordinal").cast(pl.Int64)
        named = ((names + (slot << ORDINAL_BITS)).alias("record"), (names + (page.page_id << ORDINAL_BITS)).alias("raw_record_id"))
        ordinals = pl.DataFrame({"ordinal": pl.int_range(page.mapped.records, eager=True, dtype=pl.Int64)})
        records.append(ordinals.select(*named, pl.lit(page.seen_before).alias("seen_before")))
        if not page.mapped.rejects.is_empty():
            rejects.append(_complete(page.mapped.rejects.with_columns(named)))
        if not page.mapped.gone.is_empty():
            gone.append(page.mapped.gone.with_columns(named).select(GONE.keys()))
        for entity, frame in page.mapped.frames.items():
            if not frame.is_empty():
                frames.setdefault(entity, []).append(frame.with_columns(named).drop("ordinal"))
    whole = {entity: _whole(parts, CONTRACTS[entity]) for entity, parts in frames.items()}
    batch = Batch(
        pl.concat(records) if records else pl.DataFrame(schema=RECORDS),
        whole,
        pl.DataFrame(schema=REJECTED),
        pl.concat(gone) if gone else pl.DataFrame(schema=GONE),
        tuple((slot, page.page_id, word) for slot, page in enumerate(pages) for word in page.mapped.complete),
    )
    return batch.reject(pl.concat(rejects)) if rejects else batch


def _whole(parts: Sequence[pl.DataFrame], contract: type[Contract]) -> pl.DataFrame:
    """The rows of all pages, conforming to the contract: all at once where the pages have the same columns, as they nearly always do."""
    if all(part.schema == parts[0].schema for part in parts):
        return conform(pl.concat(parts), contract)
    return pl.concat([conform(part, contract) for part in parts], how="diagonal")


def _complete(rejects: pl.DataFrame) -> pl.DataFrame:
    absent = [pl.lit(None, dtype=dtype).alias(name) for name, dtype in REJECTED.items() if name not in rejects.columns]
    return rejects.with_columns(absent).select([pl.col(name).cast(dtype) for name, dtype in REJECTED.items()])


def checked(batch: Batch) -> Batch:
    """The batch after every row was held against its contract; what breaks it is refused with the first reason found."""
    refused: list[pl.DataFrame] = []
    for entity, frame in batch.frames.items():
        contract = CONTRACTS[entity]
        broken = violations(frame.with_row_index("row").with_columns(ordinal=pl.col("row").cast(pl.Int64)), contract)
        if not broken.is_empty():
            refused.append(describe(frame[broken["ordinal"]], contract, broken.select("cause", "field", "message")))
    return batch.reject(pl.concat(refused)) if refused else batch


def describe(rows: pl.DataFrame, contract: type[Contract], why: pl.DataFrame) -> pl.DataFrame:
    """Rejects (REJECTED) for `rows` of an entity; `why` has cause, field and message for each row, in the same order."""
    amount, currency = contract.money or (None, None)
    evidence = [
        name for name in ("number", "customer_key", *(contract.money or ()), "issue_date", "value_date", "status") if name in rows.columns
    ]
    values = rows.select(
        pl.struct([pl.col(name).cast(pl.String) for name in dict.fromkeys(("source_key", *evidence))]).struct.json_encode()
    ).to_series()
    return pl.DataFrame(
        {
            "entity": [contract.entity] * rows.height,
            "source_key": rows["source_key"],
            "cause": why["cause"],
            "field": why["field"],
            "message": why["message"],
            "evidence": values,
            "customer_key": rows["customer_key"] if "customer_key" in rows.columns else None,
            "amount": rows[amount] if amount else None,
            "currency": rows[currency] if currency else None,
            "record": rows["record"],
            "raw_record_id": rows["raw_record_id"],
            "source_version": rows["source_version"],
            "legal_entity": rows["legal_entity"],
        },
        schema=REJECTED,
        strict=False,
    )


@dataclass(frozen=True, slots=True)
class Setting:
    """Under which conditions a batch is promoted.

    `live_since`: when the stream went live (None: its first pull is still running, everything is history). `require_customer`: an
    order or invoice of an unknown customer is refused. `now`: business time, becomes recorded_at.
    """

    source: str
    stream: str
    region: str
    now: datetime
    live_since: datetime | None
    always_history: bool = False
    require_customer: bool = False
    reporting_currency: str = "EUR"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a batch. `records`: record, raw_record_id and outcome of each; `entities`: rows per entity and outcome."""

    counts: Counts
    records: pl.DataFrame
    entities: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    causes: Mapping[str, int] = field(default_factory=dict)
    events: int = 0
    touched: int = 0
    resolved: int = 0
    newest_changed_at: datetime | None = None

    def __add__(self, other: Outcome) -> Outcome:
        stamps = [stamp for stamp in (self.newest_changed_at, other.newest_changed_at) if stamp is not None]
        entities = {name: _sum(self.entities.get(name, {}), other.entities.get(name, {})) for name in {**self.entities, **other.entities}}
        return Outcome(
            self.counts + other.counts,
            pl.concat([self.records, other.records]),
            entities,
            _sum(self.causes, other.causes),
            self.events + other.events,
            self.touched + other.touched,
            self.resolved + other.resolved,
            max(stamps, default=None),
        )


def _sum(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {name: one.get(name, 0) + other.get(name, 0) for name in {**one, **other}}
