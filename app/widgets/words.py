"""Money, time and durations in words, and text made safe for Markdown. Pure."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, tzinfo
from decimal import ROUND_HALF_UP, Decimal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from app.desk import Amount, Tile

_NO_MINOR = frozenset(
    ("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV", "XAF", "XOF", "XPF")
)
_THREE_MINOR = frozenset(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"))
_STEPS = ((Decimal(10) ** 9, "B"), (Decimal(10) ** 6, "M"), (Decimal(10) ** 3, "k"))
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>()#+\-.!|~$:^=&])")
MINUS = "\u2212"


def plain(text: object) -> str:
    """`text` with everything that Markdown would act on escaped, so that data is shown and never interpreted."""
    return _MARKDOWN.sub(r"\\\1", " ".join(str(text).split()))


def minor_units(currency: str) -> int:
    """How many decimals amounts in `currency` are shown with."""
    return 0 if currency in _NO_MINOR else 3 if currency in _THREE_MINOR else 2


def exact(value: Decimal, currency: str) -> str:
    """An amount in full: `1,234,567.50 EUR`. Decimals beyond the currency's own are kept, never rounded away."""
    places = max(minor_units(currency), _places(value))
    return f"{_signed(f'{value:,.{places}f}')} {currency}"


def compact(value: Decimal, currency: str) -> str:
    """An amount for a tile: `12.4 M EUR`. Rounded half up to one decimal of the step."""
    for step, letter in _STEPS:
        if abs(value) >= step:
            return f"{_signed(f'{_rounded(value / step, 1):,}')} {letter} {currency}"
    return f"{_signed(f'{_rounded(value, 0):,}')} {currency}"


def amount(money: Amount | None) -> str:
    """An Amount in full, or a dash."""
    return "\u2013" if money is None else exact(money.value, money.currency)


def figure(value: Decimal, unit: str, *, signed: bool = False) -> str:
    """A measure's value in its unit, compact: `12.4 M EUR`, `41.5 days`, `86.2 %`, `10,412`.

    `signed`: a difference of two values. It shows a plus too, and one of shares is percentage points, `+2.1 pp`: "%" would read as relative.
    """
    if signed and unit == "%":
        unit = "pp"
    if unit == "count":
        text = _signed(f"{_rounded(value, 0):,}")
    elif unit in ("days", "%", "pp"):
        text = f"{_signed(f'{_rounded(value, 1):,}')} {unit}"
    else:
        text = compact(value, unit)
    return "+" + text if signed and value > 0 else text


def figure_exact(value: Decimal, unit: str) -> str:
    """A measure's value in full, for the help beside its compact form."""
    if unit == "count":
        return f"{value:,f}"
    return f"{value:,f} {unit}" if unit in ("days", "%") else exact(value, unit)


def zone_named(name: str | None) -> tzinfo:
    """The viewer's time zone, or UTC when the browser names none that is known."""
    try:
        return ZoneInfo(name) if name else UTC
    except (ZoneInfoNotFoundError, ValueError):
        return UTC


def instant(at: datetime | date | None, zone: tzinfo) -> str:
    """A moment as `2026-11-23 10:30 +01:00` in `zone`; a business date stays the date it is; None is a dash."""
    if at is None:
        return "\u2013"
    if not isinstance(at, datetime):
        return at.isoformat()
    local = at.astimezone(zone)
    offset = local.strftime("%z")
    return f"{local:%Y-%m-%d %H:%M} {offset[:3]}:{offset[3:5]}"


def span(seconds: float | None) -> str:
    """A length of time in its two largest units: `2 d 4 h`, `1 h 5 min`, `40 s`; None is a dash."""
    if seconds is None:
        return "\u2013"
    sign = MINUS if seconds < 0 else ""
    left = round(abs(seconds))
    parts = []
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")):
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count} {unit}")
    return sign + (" ".join(parts[:2]) or "0 s")


def ago(at: datetime | None, now: datetime) -> str:
    """How long ago (or in how long) a moment is: `3 h ago`, `in 20 min`."""
    if at is None:
        return "\u2013"
    seconds = (now - at).total_seconds()
    words = f"{abs(seconds) // 86_400:.0f} d" if abs(seconds) >= 2 * 86_400 else span(abs(seconds))
    return f"{words} ago" if seconds >= 0 else f"in {words}"


def due(at: datetime | None, now: datetime) -> str:
    """A deadline in words: `due in 5 h`, `2 h overdue`; nothing when there is none."""
    if at is None:
        return ""
    return f"{ago(at, now).removesuffix(' ago')} overdue" if at < now else f"due {ago(at, now)}"


def counted(count: int, one: str, many: str | None = None) -> str:
    """A count with its noun: `1 row`, `2,000 rows`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def change(tile: Tile) -> str | None:
    """A tile's change with its sign and unit, `no change`, or None when there is nothing to compare with."""
    if tile.change is None:
        return None
    return "no change" if not tile.change else figure(tile.change, tile.unit, signed=True)


def percent(share: float | None) -> str:
    """A share as `41 %`, or a dash."""
    return "\u2013" if share is None else f"{share * 100:.0f} %"


def _places(value: Decimal) -> int:
    exponent = value.normalize().as_tuple().exponent
    return -exponent if isinstance(exponent, int) and exponent < 0 else 0


def _rounded(value: Decimal, places: int) -> Decimal:
    return value.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_UP)


def _signed(text: str) -> str:
    return text.replace("-", MINUS)
