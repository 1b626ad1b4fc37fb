"""The ECB's rates in canonical words. Pure: a file's bytes and the page's own headers in, a frame out."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import Any

import polars as pl

from sync.canonical.contracts import FxRate
from sync.errors import DataError
from sync.ports import Mapped, Page
from sync.systems.ecb.settings import Settings
from sync.systems.ecb.wire import ASKED_HEADER, BEFORE_HEADER, KNOWN_HEADER, rates
from sync.wire_frames import Rule, Subject, iso_currency, readable, required, settle, to_date, to_number

WITHDRAWN = ("CYP", "EEK", "HRK", "LTL", "LVL", "MTL", "ROL", "SIT", "SKK", "TRL")
"""Currencies that the history still quotes and ISO 4217 has withdrawn: no amount of today can be in one, so they are left out."""

EVERYWHERE = "*"
"""The region of what belongs to all of them."""

NEIGHBOURS_DAYS = 10
"""Two rates further apart than this say nothing of a single day's move."""

_EVIDENCE = {"day": "time", "currency": "currency", "rate": "rate"}


def map_file(page: Page, settings: Settings) -> Mapped:
    """The rates of a file, `daily` and `history` alike. Raises DataError when it is none of the ECB's.

    A gap stays a gap. A day that the page's headers call known was read before as it is, and is passed over: so a file of ninety days
    brings the new and the revised ones only.
    """
    found = rates(page.body)
    frame = _parsed(found, page, settings)
    frame = frame.filter(~pl.col("day").is_in(_told(page, KNOWN_HEADER, list)))
    good, bad = settle(frame, _rules(page), Subject(FxRate.entity, "source_key", currency="currency"), _EVIDENCE)
    own = ("rate_date", "currency", "units_per_eur", "is_suspect", "precedence")
    envelope = ("ordinal", "source_key", "source_version", "legal_entity", "region", "changed_at", "is_deleted")
    return Mapped(
        records=found.height,
        frames={FxRate.entity: good.select(*envelope, *own)},
        rejects=bad,
        fields_seen={"time": "text", "currency": "text", "rate": "text"},
    )


def _parsed(found: pl.DataFrame, page: Page, settings: Settings) -> pl.DataFrame:
    asked = asked_at(page)
    frame = found.with_columns(
        rate_date=to_date("day"),
        currency=pl.col("currency").str.strip_chars(),
        units_per_eur=to_number("rate", 8).cast(pl.Decimal(18, 8), strict=False),
    )
    wanted = pl.col("currency").is_in(settings.currencies) if settings.currencies else ~pl.col("currency").is_in(WITHDRAWN)
    frame = frame.filter(wanted.fill_null(True))  # noqa: FBT003  (a rate without a currency has to be seen)
    if settings.since is not None:
        frame = frame.filter((pl.col("rate_date") >= settings.since).fill_null(True))  # noqa: FBT003
    # The files carry no stamp of their own: a later reading is a later version, the shipped file speaks for its newest day.
    newest = frame["rate_date"].max()
    version = asked.date() if asked is not None else newest if isinstance(newest, date) else date.min
    published = (
        pl.col("rate_date").cast(pl.Datetime("us")).dt.offset_by("16h").dt.replace_time_zone("Europe/Berlin").dt.convert_time_zone("UTC")
    )
    return frame.with_columns(
        source_key=pl.concat_str("currency", pl.col("rate_date").dt.to_string("%Y-%m-%d"), separator="/"),
        source_version=pl.lit(version.toordinal(), pl.Int64),
        legal_entity=pl.lit(None, pl.String),
        region=pl.lit(EVERYWHERE),
        changed_at=published if asked is None else pl.min_horizontal(published, pl.lit(asked)),
        is_deleted=pl.lit(False),  # noqa: FBT003
        is_suspect=_suspect(frame, page, settings),
        precedence=pl.lit(settings.precedence, pl.Int64),
    )


def _suspect(frame: pl.DataFrame, page: Page, settings: Settings) -> pl.Series:
    """Whether a rate moved further from the one before it than `suspect_above`. A judgement, so floats will do."""
    before = [
        {"ordinal": -1 - place, "currency": code, "rate_date": day, "rate": rate}
        for place, (code, (day, rate)) in enumerate(sorted(_told(page, BEFORE_HEADER, dict).items()))
    ]
    earlier = pl.DataFrame(before, schema={"ordinal": pl.Int64, "currency": pl.String, "rate_date": pl.String, "rate": pl.String})
    earlier = earlier.with_columns(to_date("rate_date"))
    columns = [pl.col("ordinal"), pl.col("currency"), pl.col("rate_date"), pl.col("rate").cast(pl.Float64, strict=False)]
    line = pl.concat([earlier.select(columns), frame.select(columns)]).sort("currency", "rate_date", "ordinal")
    last, gap = pl.col("rate").shift().over("currency"), (pl.col("rate_date") - pl.col("rate_date").shift().over("currency"))
    limit = 1 + float(settings.suspect_above)
    near = gap <= pl.duration(days=NEIGHBOURS_DAYS)
    moved = line.select("ordinal", flag=(near & ((pl.col("rate") > last * limit) | (last > pl.col("rate") * limit))).fill_null(False))  # noqa: FBT003
    return frame.join(moved, on="ordinal", how="left", maintain_order="left")["flag"]


def _rules(page: Page) -> list[Rule]:
    rules = [
        required("day", "time"),
        readable("day", "rate_date", "bad_date", "time"),
        required("currency"),
        iso_currency("currency", "currency"),
        required("rate"),
        readable("rate", "units_per_eur", "bad_amount"),
        Rule("bad_amount", "rate", pl.col("units_per_eur") <= 0, "a rate is above zero"),
    ]
    asked = asked_at(page)
    if asked is not None:
        rules.append(Rule("bad_date", "time", pl.col("rate_date") > asked.date(), "the rate is of a day to come"))
    return rules


def asked_at(page: Page) -> datetime | None:
    """When the page was asked for, UTC; None for the file that the program ships."""
    said = page.headers.get(ASKED_HEADER)
    return None if not said else datetime.fromisoformat(said).astimezone(UTC)


def _told(page: Page, header: str, kind: type) -> Any:
    """What a header of ours says, as JSON; nothing of that kind when it is absent."""
    try:
        said = json.loads(page.headers.get(header) or "null")
    except ValueError as error:
        raise DataError(f"the page's header {header} can't be read", cause="file_unreadable") from error
    return said if isinstance(said, kind) else kind()
