"""What every mapping of the tenant's records shares: companies to entities and regions, the moment of asking, the end of a mapping. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import polars as pl

from sync.errors import DataError
from sync.ports import Mapped, Page
from sync.systems.kyriba.settings import Settings
from sync.systems.kyriba.wire import ACCOUNTS_HEADER, ASKED_HEADER
from sync.wire_frames import (
    ORDINAL,
    Rows,
    Rule,
    Subject,
    all_rejects,
    broken_rejects,
    fields_seen,
    reshaped,
    settle,
    to_amount,
    to_date,
    to_utc,
)

ENVELOPE = ("source_key", "source_version", "legal_entity", "region", "changed_at", "is_deleted")


def finish(
    rows: Rows, frame: pl.DataFrame, rules: list[Rule], subject: Subject, *, own: tuple[str, ...], paths: Mapping[str, str]
) -> Mapped:
    """The frame's rows that keep every rule, and the rejects of the others; `paths` is what the rejects show."""
    good, bad = settle(frame, [*reshaped(rows), *rules], subject, paths)
    return Mapped(
        records=rows.total,
        frames={subject.entity: good.select(ORDINAL, *ENVELOPE, *own)},
        rejects=all_rejects(broken_rejects(rows, subject.entity), bad),
        fields_seen=fields_seen(rows),
    )


def plain_code(column: str) -> pl.Expr:
    """The currency where it stands as plain text and not as an object with a code."""
    return pl.when(pl.col(column).str.contains("^[A-Z]{3}$")).then(pl.col(column))


def entity(company: pl.Expr, settings: Settings) -> pl.Expr:
    """Our legal entity for their company code; the connection's only one where there is none."""
    named = settings.legal_entity_by_company
    ours = company.replace_strict(named, default=company, return_dtype=pl.String) if named else company
    return pl.coalesce(ours, pl.lit(settings.legal_entity, pl.String))


def region(settings: Settings) -> pl.Expr:
    """The region of the legal entity, else the connection's."""
    return pl.col("legal_entity").replace_strict(settings.region_by_entity, default=settings.region, return_dtype=pl.String)


def moment(column: str) -> pl.Expr:
    """A stamp as UTC, or the beginning of a day where only a date is given."""
    return pl.coalesce(to_utc(column), to_date(column).cast(pl.Datetime("us", "UTC")))


def double_amount(column: str) -> pl.Expr:
    """The text column as an exact amount; null where it is none. The tenant's amounts are doubles, and some writers show 1234.56 as
    1234.5599999999999: what is the very same double as a number of at most four decimals and fifteen digits is that number, for no two
    such numbers share a double. One that is another double (1234.5600000000002) was reckoned with, and stays null.
    """
    double = pl.col(column).cast(pl.Float64, strict=False)
    # below a hundred thousand millions an amount in ten-thousandths has fifteen digits
    believable = pl.col(column).str.contains(r"^-?\d+\.\d+$") & (double.abs() < 1e11)
    parts = (pl.when(believable).then(double) * 10_000).round().cast(pl.Int64, strict=False)
    digits = parts.abs().cast(pl.String).str.zfill(5)
    length = digits.str.len_chars().cast(pl.Int64)
    sign = pl.when(parts < 0).then(pl.lit("-")).otherwise(pl.lit(""))
    text = sign + digits.str.head(length - 4) + pl.lit(".") + digits.str.tail(4)
    # read back from its text: a division would be rounded once more
    same = (parts != 0) & (text.cast(pl.Float64, strict=False) == double)
    return pl.coalesce(to_amount(column), pl.when(same).then(text).cast(pl.Decimal(19, 4), strict=False))


def companies(page: Page) -> dict[str, str | None]:
    """Account code -> company code, as the page carries them."""
    said: Any = json.loads(page.headers.get(ACCOUNTS_HEADER) or "{}")
    return {str(code): None if company is None else str(company) for code, company in said.items()}


def asked(page: Page) -> datetime:
    """When the page was asked for, UTC; DataError where it does not say so, for it can't be dated then."""
    said = page.headers.get(ASKED_HEADER)
    if not said:
        raise DataError("the page does not say when it was asked for", cause="file_unreadable", evidence={"headers": sorted(page.headers)})
    return datetime.fromisoformat(said).astimezone(UTC)
