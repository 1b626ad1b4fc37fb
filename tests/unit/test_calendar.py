"""What is due when, and what of it came: weekdays, holidays, a cut-off in its zone, clock changes, files with and without a day in their name."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from sync.drops.calendar import Calendar, calendars, expected
from sync.drops.sequences import skipped
from sync.ports import Arrived, Expected

NAME = r"_(?P<period>\d{8})\.csv$"
LIVE = datetime(2026, 5, 18, 0, 0, tzinfo=UTC)  # a Monday


def calendar(**more: Any) -> Calendar:
    return Calendar.model_validate({"by": "18:00", "zone": "Europe/Berlin", **more})


def at(day: int, hour: int, month: int = 5) -> datetime:
    return datetime(2026, month, day, hour, tzinfo=UTC)


def judged(now: datetime, *arrivals: tuple[str, datetime], since: datetime = LIVE, **more: Any) -> list[tuple[str, str]]:
    found = expected(calendar(**more), [Arrived(*each) for each in arrivals], zone=None, name=NAME, since=since, now=now)
    return [(each.subject, each.state) for each in found]


def test_a_file_is_expected_late_and_missing() -> None:
    """Until its cut-off, from then on, and a day after that; the next one is always told."""
    assert judged(at(18, 15)) == [("2026-05-18", "expected")]
    assert judged(at(18, 17)) == [("2026-05-18", "late"), ("2026-05-19", "expected")]
    assert judged(at(19, 15)) == [("2026-05-18", "late"), ("2026-05-19", "expected")]
    assert judged(at(19, 17)) == [("2026-05-18", "missing"), ("2026-05-19", "late"), ("2026-05-20", "expected")]
    assert judged(at(18, 17), grace_minutes=90) == [("2026-05-18", "expected"), ("2026-05-19", "expected")]


def test_a_file_that_names_its_day_counts_for_it_whenever_it_comes() -> None:
    """A late one closes its own day, in whatever order they come."""
    came = (("x_20260519.csv", at(19, 12)), ("x_20260518.csv", at(20, 12)))
    assert judged(at(20, 13), came[0]) == [("2026-05-18", "missing"), ("2026-05-19", "received"), ("2026-05-20", "expected")]
    assert judged(at(20, 13), *came)[:2] == [("2026-05-18", "received"), ("2026-05-19", "received")]


def test_a_file_without_a_day_counts_for_the_first_open_one() -> None:
    """What comes after one cut-off and before the next closes the day that is still open, else its own."""
    assert judged(at(19, 12), ("a.csv", at(18, 12)))[:2] == [("2026-05-18", "received"), ("2026-05-19", "expected")]
    assert judged(at(19, 12), ("a.csv", at(18, 20)))[:2] == [("2026-05-18", "received"), ("2026-05-19", "expected")]
    two = (("a.csv", at(18, 20)), ("b.csv", at(18, 21)))
    assert judged(at(19, 12), *two)[:2] == [("2026-05-18", "received"), ("2026-05-19", "received")]


def test_weekends_and_holidays_are_not_waited_for() -> None:
    """Friday is followed by Tuesday when Monday is a holiday."""
    found = judged(at(22, 17), since=at(22, 0), holidays=["2026-05-25"])
    assert found == [("2026-05-22", "late"), ("2026-05-26", "expected")]
    assert judged(at(23, 12), since=at(23, 0), days=["sat"])[0] == ("2026-05-23", "expected")


def test_nothing_before_the_stream_went_live_is_asked_for() -> None:
    """Nor before the first day that is declared, nor further back than anybody remembers."""
    assert judged(at(20, 17), since=at(20, 0))[0] == ("2026-05-20", "late")
    assert judged(at(20, 17), first_day="2026-05-20")[0] == ("2026-05-20", "late")
    assert len(judged(at(1, 0, 12), since=LIVE)) < 30
    assert expected(calendar(), (), zone=None, name=None, since=None, now=at(20, 17))[-1].state == "expected"


@pytest.mark.parametrize(
    ("day", "by", "utc"),
    [
        (date(2026, 3, 27), "18:00", "17:00"),
        (date(2026, 3, 30), "18:00", "16:00"),
        (date(2026, 3, 29), "02:30", "01:30"),
        (date(2026, 10, 25), "02:30", "01:30"),
    ],
)
def test_a_cut_off_keeps_its_local_time(day: date, by: str, utc: str) -> None:
    """Summer and winter; in the hour that is skipped or repeated nobody is late by the change."""
    assert f"{calendar(by=by).due(day, None):%H:%M}" == utc


def test_a_report_of_yesterday_is_due_today() -> None:
    """`days_later` moves the cut-off, not the day."""
    [first, *_] = expected(calendar(days_later=1), (), zone=None, name=NAME, since=at(19, 0), now=at(19, 17))
    assert first == Expected("2026-05-18", at(19, 16), "late", "the file of 2026-05-18 was due by 2026-05-19 16:00 UTC and has not come")


def test_late_and_missing_never_overlap_over_a_year() -> None:
    """Every day of a year, every hour: at most one next file, and states in their order."""
    rank = {"missing": 0, "late": 1, "expected": 2}
    for hours in range(0, 24 * 365, 7):
        states = [state for _, state in judged(LIVE + timedelta(hours=hours))]
        assert states.count("expected") == 1
        assert [rank[state] for state in states] == sorted(rank[state] for state in states)


def test_calendars_are_found_in_options() -> None:
    """By stream, with the expression on names; a kind without one has none."""
    found = calendars({"files": [{"stream": "a", "name": NAME, "expect": {"by": "18:00"}}, {"stream": "b"}]})
    assert list(found) == ["a"]
    with pytest.raises(ValueError, match="without an offset"):
        Calendar.model_validate({"by": "18:00+02:00"})
    with pytest.raises(ValueError, match="no time zone"):
        Calendar.model_validate({"by": "18:00", "zone": "Berlin"})


def gaps(*arrivals: tuple[int, datetime]) -> list[tuple[str, str]]:
    came = [Arrived(f"x_{number}.csv", moment) for number, moment in arrivals]
    return [(each.subject, each.state) for each in skipped(came, name=r"_(?P<sequence>\d+)", since=LIVE)]


def test_a_number_that_is_passed_over_is_missing_until_it_comes() -> None:
    """One for each; a long gap is one matter; what was skipped before the stream went live is history; a series may begin anew."""
    assert gaps((1, LIVE), (2, at(19, 1)), (5, at(19, 2))) == [("sequence 3", "missing"), ("sequence 4", "missing")]
    assert gaps((1, LIVE), (5, at(19, 2)), (3, at(19, 3)))[1] == ("sequence 3", "received")
    assert gaps((2, at(19, 2)), (1, at(19, 2)), (3, at(19, 2))) == []
    assert gaps((1, LIVE), (900, at(19, 2))) == [("sequences 2 to 899", "missing")]
    assert gaps((1, LIVE), (7, LIVE), (8, at(19, 2))) == []
    assert gaps((7, LIVE), (1, at(19, 1)), (2, at(19, 2))) == []
    assert skipped([Arrived("x_9.csv", at(19, 1))], name=None, since=LIVE) == []


def daily(*arrivals: tuple[str, datetime]) -> list[tuple[str, str]]:
    came = [Arrived(f"x_{name}.csv", moment) for name, moment in arrivals]
    return [(each.subject, each.state) for each in skipped(came, name=r"_(?P<period>\d{8})_(?P<sequence>\d+)", since=LIVE)]


def test_a_series_that_begins_anew_with_every_period_has_its_own_gaps() -> None:
    """A number that was there yesterday is missed today; a late comer of yesterday closes yesterday's gap and opens none."""
    first = (("20260519_1", LIVE), ("20260519_2", at(19, 1)), ("20260519_3", at(19, 2)))
    assert daily(*first, ("20260520_1", at(20, 1)), ("20260520_2", at(20, 2))) == []
    second = (*first, ("20260520_1", at(20, 1)), ("20260520_3", at(20, 2)))
    assert daily(*second) == [("sequence 2 of 20260520", "missing")]
    assert daily(*second, ("20260520_2", at(20, 3))) == [("sequence 2 of 20260520", "received")]
    assert daily(*second, ("20260521_1", at(21, 1)), ("20260521_2", at(21, 2))) == [("sequence 2 of 20260520", "missing")]
    third = (*second, ("20260521_2", at(21, 1)))
    assert daily(*third) == [("sequence 2 of 20260520", "missing"), ("sequence 1 of 20260521", "missing")]
    assert daily(*third, ("20260520_2", at(21, 2)), ("20260521_1", at(21, 3))) == [
        ("sequence 2 of 20260520", "received"),
        ("sequence 1 of 20260521", "received"),
    ]


def test_a_series_that_goes_on_over_periods_is_one() -> None:
    """The day in the name changes nothing: a number of another day closes the gap, and a lower one again is none."""
    went_on = (("20260519_7", LIVE), ("20260520_8", at(20, 1)), ("20260521_10", at(21, 1)))
    assert daily(*went_on) == [("sequence 9", "missing")]
    assert daily(*went_on, ("20260520_9", at(21, 2))) == [("sequence 9", "received")]
    assert daily(*went_on, ("20260522_9", at(22, 2))) == [("sequence 9", "received")]
    assert daily(*went_on, ("20260522_8", at(22, 2)), ("20260522_11", at(22, 3))) == [("sequence 9", "missing")]
    # A new year: the old series' gap stays open until it comes.
    anew = (*went_on, ("20270101_1", at(23, 1)), ("20270102_2", at(23, 2)))
    assert daily(*anew) == [("sequence 9", "missing")]
    assert daily(*anew, ("20260521_9", at(24, 1))) == [("sequence 9", "received")]
