"""What every record of Modern Treasury is put into: our envelope, the rules that all keep, the frame of those that do. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import polars as pl

from sync.ports import Mapped, Page
from sync.systems.modern_treasury.settings import Settings
from sync.systems.modern_treasury.wire import ENTITIES_HEADER
from sync.wire_frames import (
    ORDINAL,
    Rows,
    Rule,
    Subject,
    all_rejects,
    blank_to_null,
    broken_rejects,
    fields_seen,
    iso_currency,
    known_currency,
    readable,
    required,
    reshaped,
    settle,
    to_utc,
)

ENVELOPE = ("source_key", "source_version", "legal_entity", "region", "changed_at", "is_deleted")
STAMPS = {"created": "created_at", "updated": "updated_at"}


def finish(
    rows: Rows,
    frame: pl.DataFrame,
    rules: list[Rule],
    subject: Subject,
    paths: Mapping[str, str],
    *,
    own: Iterable[str],
    status: str | None = None,
) -> Mapped:
    """The records that keep every rule, with our envelope and the entity's `own` columns; `status` is the column that becomes its status."""
    good, bad = settle(frame, [*reshaped(rows), *rules], subject, paths)
    told = [pl.col(status).alias("status")] if status else []
    return Mapped(
        records=rows.total,
        frames={subject.entity: good.select(ORDINAL, *ENVELOPE, *own, *told)},
        rejects=all_rejects(broken_rejects(rows, subject.entity), bad),
        fields_seen=fields_seen(rows),
    )


def stamped(frame: pl.DataFrame, settings: Settings, page: Page | None = None) -> pl.DataFrame:
    """The frame with its envelope. An account that is told to be left out brings no row: another connection reports it."""
    if page is not None:
        entities = entities_of(page)
        frame = frame.filter(~pl.col("account").is_in(settings.leave_out_accounts).fill_null(value=False)).with_columns(
            legal_entity=pl.coalesce(
                pl.col("account").replace_strict(entities, default=None, return_dtype=pl.String), pl.lit(settings.legal_entity, pl.String)
            )
        )
    return frame.with_columns(
        source_key=blank_to_null("id"),
        changed_at=to_utc("updated"),
        region=pl.col("legal_entity").replace_strict(settings.region_by_entity, default=settings.region, return_dtype=pl.String),
    ).with_columns(source_version=pl.col("changed_at").dt.epoch("ms"))


def stamp_rules() -> list[Rule]:
    """Every record has an id and says when it was changed."""
    return [required("id"), required("updated", "updated_at"), readable("updated", "changed_at", "bad_time", "updated_at")]


def money_rules(field: str = "amount", said: str = "minor") -> list[Rule]:
    """An integer in the smallest unit, of a currency that ISO 4217 knows; the currency first, since it says what the integer means."""
    return [
        required("currency"), iso_currency("currency", "currency"), required(said, field), readable(said, "amount", "bad_amount", field),
        *known_currency("amount", "currency", "currency"),
    ]  # fmt: skip


def known_direction() -> Rule:
    """Money comes or goes."""
    return Rule(
        "bad_value",
        "direction",
        ~pl.col("direction").is_in(["credit", "debit"]).fill_null(value=False),
        "direction is neither credit nor debit",
    )


def entities_of(page: Page) -> dict[str, str | None]:
    """Account id -> our legal entity, as the page's headers tell."""
    said: Any = json.loads(page.headers.get(ENTITIES_HEADER) or "{}")
    return {str(account): None if entity is None else str(entity) for account, entity in said.items()}
