"""Modern Treasury's shapes: lists as bare arrays, amounts in minor units, what travels with a page. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

import polars as pl

from db.money import MoneyInvalid, currencies, exponent
from sync.errors import DataError
from sync.wire_frames import Rows, decode, split
from sync.wire_rows import excerpt

REFERENCE_FIELD = "tidegate_reference"
ENTITIES_HEADER = "x-tidegate-legal-entities"
ASKED_HEADER = "x-tidegate-asked-at"
GONE_HEADER = "x-tidegate-gone"
REFUSED_HEADER = "x-tidegate-refused"
"""What the records themselves don't say travels with the page: which of our companies holds each account, when it was asked, the key of
the record that was asked for and is not there any more, and the account whose reports the organisation refuses to show.
"""

SAFE_INTEGER = 2**53
"""Up to here `amount` is exact in every language; beyond it only `amount_string` is."""


def records(body: bytes) -> Rows:
    """The records of a list, which is a bare JSON array, or the one record that was asked for by its id; DataError `file_unreadable` when
    it is neither.
    """
    text = body.lstrip(b" \t\r\n")
    if text.startswith(b"{") and b'"id"' in text and b'"object"' in text:
        body = b"[" + body + b"]"
    elif not text.startswith(b"["):
        raise DataError("the answer is no list of records", cause="file_unreadable", evidence={"begins": excerpt(body[:400])})
    # the splitter wants an object with the array in it, as other systems send it
    return decode(split(b'{"records":' + body + b"}", "records").records)


def major_units(minor: str, currency: str) -> pl.Expr:
    """The text column of an integer in the currency's smallest unit as text in its usual one, by ISO 4217: 1050 JPY is 1050, 1050 BHD
    1.050. Null where it is no integer or the currency is unknown.
    """
    places = {code: exponent(code) for code in currencies()}
    digits = pl.col(minor).str.strip_chars_start("-").str.pad_start(5, "0")
    sign = pl.when(pl.col(minor).str.starts_with("-")).then(pl.lit("-")).otherwise(pl.lit(""))
    shift = pl.col(currency).replace_strict(places, default=None, return_dtype=pl.Int64)
    whole = digits.str.head(digits.str.len_chars().cast(pl.Int64) - shift)
    text = pl.when(shift == 0).then(sign + digits).otherwise(sign + whole + pl.lit(".") + digits.str.tail(shift))
    return pl.when(pl.col(minor).str.contains(r"^-?\d{1,25}$")).then(text)


def amounts_differ() -> pl.Expr:
    """Whether `amount` (column `minor`) denies `amount_string` (`minor_text`): another integer, as far as every language keeps those exactly,
    or no number at all. The good text beside it doesn't make it believable.
    """
    told = pl.col("minor").cast(pl.Int128, strict=False)
    unreadable = pl.col("minor").is_not_null() & pl.col("minor").cast(pl.Float64, strict=False).is_null()
    other = (told.abs() <= SAFE_INTEGER) & (pl.col("minor_text").str.strip_chars() != pl.col("minor"))
    return pl.col("minor_text").is_not_null() & (other | unreadable).fill_null(value=False)


def minor_units(amount: Decimal, currency: str) -> int | None:
    """An amount as an integer in the currency's smallest unit; None when it has more decimals, or the currency is unknown."""
    try:
        scaled = amount.scaleb(exponent(currency))
    except MoneyInvalid:
        return None
    return int(scaled) if amount.is_finite() and scaled == scaled.to_integral_value() else None


def stamps(rows: Rows) -> list[datetime]:
    """The update stamps of the records that have a readable one, in their order, UTC."""
    found = []
    for row in rows.sound:
        try:
            stamp = datetime.fromisoformat(str(row.get("updated_at")))
        except ValueError:
            continue
        if stamp.tzinfo is not None:
            found.append(stamp)
    return found


def context(entities: Mapping[str, str | None], now: datetime) -> dict[str, str]:
    """The headers that go with a page: account id -> our legal entity, and when it was asked."""
    return {ENTITIES_HEADER: json.dumps(entities, sort_keys=True), ASKED_HEADER: now.isoformat()}
