"""Tiles out of headline figures: value, change against the day before, trend, target, health in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Literal

from app.desk import Health, Tile
from metrics.catalog import CATALOG
from metrics.reads import Headline


@dataclass(frozen=True, slots=True)
class Shown:
    """How a figure is shown: on which page, against which target, and when it worries. `scale` 100 turns a share into per cent."""

    page: str
    title: str | None = None
    target: Decimal | None = None
    warn_above: Decimal | None = None
    scale: int = 1
    against_days: int = 1


SHOWN: Mapping[str, Shown] = {
    "cash_position": Shown("cash", "Cash position"),
    "invoice_to_payment_p50": Shown(
        "receivables", "Invoice-to-payment latency", target=Decimal(38), warn_above=Decimal(45), against_days=7
    ),
    "late_share": Shown("receivables", "Late share", scale=100, against_days=7),
    "open_total": Shown("receivables", "Open receivables"),
    "overdue_total": Shown("receivables", "Overdue receivables"),
    "exposure_breaches": Shown("exposure", "Exposure breaches", target=Decimal(0), warn_above=Decimal(0)),
    "exposure_total": Shown("exposure", "Exposure"),
}


def tile(
    slug: str,
    headline: Headline | None,
    *,
    now: datetime,
    second_line: str | None = None,
    why_missing: str | None = None,
) -> Tile:
    """The tile of `slug`. Without a headline it says why there is no figure, never 0."""
    shown, measure = SHOWN[slug], CATALOG[slug]
    value = headline.value * shown.scale if headline is not None and headline.value is not None else None
    unit = "%" if shown.scale == 100 else ("" if headline is None else headline.unit)
    change = _change(headline, shown) if headline is not None else None
    missing = why_missing or (headline.why_missing if headline is not None else None) or "the first figures are being made"
    return Tile(
        slug=slug,
        title=shown.title or measure.name,
        value=value,
        unit=unit or "count",
        why_missing=missing if value is None else None,
        change=change,
        change_words=("since yesterday" if shown.against_days == 1 else f"against {shown.against_days} days ago")
        if change is not None
        else None,
        good_direction="down" if measure.good == "down" else "up",
        target=shown.target,
        health=_health(value, shown.warn_above),
        spark=[point * shown.scale for _, point in headline.spark] if headline is not None else [],
        as_of=headline.as_of if headline is not None else now,
        oldest_feed=headline.oldest_feed.isoformat(timespec="minutes") if headline is not None and headline.oldest_feed else None,
        sync_share=headline.sync_share * shown.scale if headline is not None and headline.sync_share is not None else None,
        definition=measure.words,
        page=shown.page,
        second_line=second_line,
    )


def answer_tile(
    slug: str,
    value: Decimal | float | None,
    unit: str,
    *,
    page: str,
    now: datetime,
    missing: str | None = None,
    title: str | None = None,
    second_line: str | None = None,
    health: Health = "unknown",
    target: Decimal | None = None,
    spark: Sequence[float] = (),
    change: Decimal | None = None,
    change_words: str | None = None,
    good: Literal["up", "down"] | None = None,
    definition: str | None = None,
    sync_share: Decimal | None = None,
) -> Tile:
    """A tile of a figure that was computed for this page; `value` None needs `missing`."""
    measure = CATALOG.get(slug)
    exact = None if value is None else value if isinstance(value, Decimal) else Decimal(str(round(value, 6)))
    direction: Literal["up", "down"] = good or ("down" if measure is not None and measure.good == "down" else "up")
    return Tile(
        slug=slug,
        title=title or (measure.name if measure else slug),
        value=exact,
        unit=unit,
        why_missing=(missing or "there is nothing to compute it from yet") if exact is None else None,
        change=change,
        change_words=change_words,
        good_direction=direction,
        target=target,
        health=health,
        spark=list(spark),
        as_of=now,
        oldest_feed=None,
        sync_share=sync_share,
        definition=definition or (measure.words if measure else title or slug),
        page=page,
        second_line=second_line,
    )


def _change(headline: Headline, shown: Shown) -> Decimal | None:
    """The value now less that of the day to compare with, or None when that day has none."""
    if headline.value is None or not headline.spark:
        return None
    last: date = headline.spark[-1][0]
    wanted = last - timedelta(days=shown.against_days)
    earlier = next((value for day, value in headline.spark if day == wanted), None)
    if earlier is None:
        return None
    quantum = Decimal("0.01")
    return ((headline.value - Decimal(str(earlier))) * shown.scale).quantize(quantum)


def _health(value: Decimal | None, warn_above: Decimal | None) -> Health:
    if value is None or warn_above is None:
        return "unknown" if value is None else "good"
    return "warning" if value > warn_above else "good"
