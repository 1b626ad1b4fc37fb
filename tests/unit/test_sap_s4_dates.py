"""V2's dates: the quick reading of what hosts write says what the reading by shape says, of anything."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.systems.sap_s4.wire import read_moment, to_day, to_moment

_SHAPE = re.compile(r"/Date\((-?\d{1,15})([+-]\d{1,4})?\)/", re.ASCII)
_ODD = [
    "", "x", "12", "/Date()/", "/Date(+5)/", "/Date( 5)/", "/Date(5 )/", "Date(5)/", "/Date(5", "/Date(5)/x", "/Date(5)/)/", "/Date(--5)/",
    "/Date(/Date(5)/)/", "/Date(+0000)/", "/Date(5+0000+0000)/", "/Date(1_000)/", "/Date(1e5)/", "/Date(1234567890123456)/", "1704067200000",
    "/Date(-62135596800001)/", "/Date(253402300800000)/", "/Date(999999999999999)/",
]  # fmt: skip
_WRITTEN = st.builds(
    "/Date({}{})/".format, st.integers(-62_135_596_800_000, 253_402_300_799_999), st.sampled_from(["", "+0000", "+60", "-0120", "+0530"])
)


def _slowly(text: str | None) -> datetime | None:
    found = None if text is None else _SHAPE.fullmatch(text)
    if found is None:
        return None
    try:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=int(found[1])) - timedelta(minutes=int(found[2] or 0))
    except OverflowError:
        return None


@given(st.lists(st.none() | _WRITTEN, max_size=8), st.lists(st.sampled_from(_ODD) | st.text(max_size=12), max_size=2))
def test_dates_read_in_one_go_are_those_read_one_by_one(usual: list[str | None], odd: list[str]) -> None:
    """Beside any other texts, with and without offsets; what is none is null, and nothing raises."""
    frame = pl.DataFrame({"t": [*usual, *odd]}, schema={"t": pl.String}).select("t", at=to_moment("t"), on=to_day("t"))
    for text, at, on in frame.iter_rows():
        expected = _slowly(text)
        assert (at, on) == (expected, None if expected is None else expected.date())


@pytest.mark.parametrize("text", ["/Date(1704067200000)/", "/Date(1704067200000+0000)/", "/Date(1704070800000+60)/"])
def test_a_date_is_the_same_alone_and_in_a_column(text: str) -> None:
    """The reading of a single stamp, which cursors are made of, agrees with the column's."""
    frame = pl.DataFrame({"t": [text]}).select(at=to_moment("t"), on=to_day("t"))
    assert frame.row(0) == (read_moment(text), date(2024, 1, 1))
