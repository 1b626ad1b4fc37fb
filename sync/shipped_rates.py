"""The reference rates that the program ships: always there below those of a connection, so that figures need no network."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime

import polars as pl
import sqlalchemy as sa

from db.bulk import read_frame
from db.engine import Writing
from sync import fx, landing
from sync.canonical.contracts import FxRate
from sync.connections import Connection, Landscape
from sync.landing import Arrival
from sync.ports import Mapped, Page, Source
from sync.promotion import MappedPage, Setting, promote
from sync.systems.registry import system

SOURCE = "ecb-shipped"
STREAM = "history"
PRECEDENCE = 100
_NOT_QUOTED: set[str] = set()
"""Currencies that were looked for and are not in the file, so that it is not read for them again and again."""


def load(conn: Writing, currencies: Iterable[str], *, now: datetime) -> int:
    """Promotes the shipped rates of `currencies` that are newer than the stored ones; returns how many. `now` becomes recorded_at (UTC).

    The file lands whole, as a page, so that each rate leads to its bytes. A currency that the ECB does not quote is left out.
    """
    wanted = sorted(set(currencies) - {fx.BASE} - _NOT_QUOTED)
    if not wanted:
        return 0
    conn.execute(sa.text("select pg_advisory_xact_lock(hashtext('canonical.fx_rate'))"))
    stored = read_frame(
        conn,
        f"select currency, max(rate_date) as newest from canonical.fx_rate where source = '{SOURCE}' group by currency",
        {"currency": pl.String, "newest": pl.Date},
    )
    options = {"currencies": wanted, "precedence": PRECEDENCE}
    connection = Connection(name=SOURCE, system="ecb", region="*", options=options)
    source = system(connection).make_source(connection, Landscape())
    newest = stored.filter(pl.col("currency").is_in(wanted))["newest"].min() if set(wanted) <= set(stored["currency"]) else None
    pages = source.pull(STREAM, None if newest is None else {"shipped": str(newest)}, now=now)
    return sum(_promoted(conn, source, page, wanted, stored, now) for page in pages if isinstance(page, Page))


def _promoted(conn: Writing, source: Source, page: Page, wanted: Sequence[str], stored: pl.DataFrame, now: datetime) -> int:
    whole = source.map(STREAM, page)
    _NOT_QUOTED.update(set(wanted) - set(whole.frames[FxRate.entity]["currency"]))
    mapped = _news(whole, stored)
    if all(frame.is_empty() for frame in mapped.frames.values()):
        return 0
    arrival = Arrival(page, "file", 0, mapped.records)
    landed = landing.land(conn, [arrival], connection=SOURCE, stream=STREAM, region="*", run_id=None, now=now)[0]
    setting = Setting(
        source=SOURCE, stream=STREAM, region="*", now=now, live_since=None, always_history=True, require_customer=False,
        reporting_currency=fx.BASE,
    )  # fmt: skip
    return promote(conn, setting, [MappedPage(landed.page_id, landed.seen_before, mapped)]).counts.promoted


def _news(mapped: Mapped, stored: pl.DataFrame) -> Mapped:
    """Without the rates of the days that are stored: a newer program ships the same ones again."""
    frames = {
        entity: frame.join(stored, on="currency", how="left", maintain_order="left")
        .filter(pl.col("newest").is_null() | (pl.col("rate_date") > pl.col("newest")))
        .drop("newest")
        for entity, frame in mapped.frames.items()
    }
    return replace(mapped, frames=frames)
