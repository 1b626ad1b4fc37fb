"""A page of Tryton's records as it is read: plain values, what is wrong with their shape, and the envelope. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from sync.ports import GONE_SCHEMA, Mapped, none_gone
from sync.systems.tryton.settings import Settings
from sync.systems.tryton.values import moment
from sync.systems.tryton.wire import STAMPS, newest
from sync.wire_frames import (
    ORDINAL,
    Rows,
    Rule,
    all_rejects,
    blank_to_null,
    broken_rejects,
    readable,
    required,
    reshaped,
    text_frame,
    to_utc,
)

ENVELOPE = ("source_key", "source_version", "legal_entity", "region", "changed_at", "is_deleted")


@dataclass(frozen=True, slots=True)
class Given:
    """A page's records with plain values, and what is needed to read them."""

    rows: Rows
    drift: list[Rule]
    seen: Mapping[str, str]
    settings: Settings

    def frame(self, fields: Mapping[str, str]) -> pl.DataFrame:
        """The text columns and the envelope; the version is the newest stamp of the record and of what came with it, in microseconds."""
        stamps = [newest(row, moment) for row in self.rows.sound]
        company = {"company_name": "company.party.name"}
        frame = text_frame(self.rows, {"id": "id", **{name: name for name in STAMPS}, **company, **fields})
        named = self.settings.legal_entity_by_company
        ours = pl.col("company_name").replace_strict(named, default=None, return_dtype=pl.String)
        # once companies are told apart, what one of them owns is never another's; a record of no company is the connection's own
        entity = pl.coalesce(
            ours, pl.when(pl.col("company_name").is_null() | pl.lit(not named)).then(pl.lit(self.settings.legal_entity, pl.String))
        )
        return frame.with_columns(
            source_key=blank_to_null("id"),
            changed_at=pl.Series(stamps, dtype=pl.Datetime("us", "UTC")),
            written=to_utc("write_date"),
            created=to_utc("create_date"),
            is_deleted=pl.lit(value=False),
            legal_entity=entity,
        ).with_columns(
            source_version=pl.col("changed_at").dt.epoch("us"),
            region=pl.col("legal_entity").replace_strict(
                self.settings.region_by_entity, default=self.settings.region, return_dtype=pl.String
            ),
        )

    def base_rules(self) -> list[Rule]:
        """What every record must have."""
        return [
            *self.drift,
            *reshaped(self.rows),
            required("source_key", "id"),
            Rule(
                "bad_value",
                "company.party.name",
                pl.lit(bool(self.settings.legal_entity_by_company))
                & pl.col("company_name").is_not_null()
                & pl.col("legal_entity").is_null(),
                "the company stands under no legal entity: name it in legal_entity_by_company, or keep it from this user",
            ),
            Rule("missing_field", "write_date", pl.col("changed_at").is_null(), "neither write_date nor create_date is a moment"),
            readable("create_date", "created", "bad_time"),
            readable("write_date", "written", "bad_time"),
        ]

    def mapped(self, frames: Mapping[str, pl.DataFrame], bad: pl.DataFrame, entity: str, gone: pl.DataFrame | None = None) -> Mapped:
        """The page as it is handed on."""
        return Mapped(
            self.rows.total, frames, all_rejects(broken_rejects(self.rows, entity), bad), fields_seen=self.seen,
            gone=none_gone() if gone is None else gone,
        )  # fmt: skip


def no_longer(rows: pl.DataFrame, entity: str) -> pl.DataFrame:
    """Of these records, what they no longer feed."""
    return rows.select(ORDINAL, pl.lit(entity).alias("entity"), "source_key", "source_version", "changed_at").cast(dict(GONE_SCHEMA))  # type: ignore[arg-type]


def coded(column: str, codes: Mapping[str, str]) -> pl.Expr:
    return pl.col(column).replace_strict(codes, default=None, return_dtype=pl.String)


def party() -> pl.Expr:
    """The number of a record's party, asked for by itself or with fields of its own."""
    return pl.coalesce(blank_to_null("party_id"), pl.when(pl.col("party").str.contains(r"^\d+$")).then(pl.col("party")))
