"""What an address means and how it changes."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

from app import state
from app.desk import ExceptionFilter


def test_known_at_reads_any_offset_and_refuses_nonsense() -> None:
    """A moment comes out in UTC, also when the address lost its plus sign; nonsense reads as now."""
    assert state.known_at({"known_at": "2026-11-10T11:00:00+01:00"}) == datetime(2026, 11, 10, 10, tzinfo=UTC)
    assert state.known_at({"known_at": "2026-11-10T11:00:00 01:00"}) == datetime(2026, 11, 10, 10, tzinfo=UTC)
    assert state.known_at({"known_at": "2026-11-10T10:00:00"}) == datetime(2026, 11, 10, 10, tzinfo=UTC)
    assert state.known_at({"known_at": "yesterday"}) is None
    assert state.known_at({}) is None


def test_known_at_is_carried_to_the_next_page_and_let_go_on_the_same() -> None:
    """Navigation drops the address's parameters, so the moment is carried over; taking it out on a page ends it."""
    assert state.carried_known_at({}, "2026-11-10", page_changed=True) == "2026-11-10"
    assert state.carried_known_at({}, "2026-11-10", page_changed=False) is None
    assert state.carried_known_at({"known_at": "2026-11-11"}, "2026-11-10", page_changed=True) == "2026-11-11"


def test_filters_survive_nonsense() -> None:
    """A hand-made address never breaks a page: what can't be read is left out."""
    query = state.receivables({"region": "EMEA,NA", "week": "not-a-day", "by": "'; drop table"})
    assert (query.regions, query.week, query.dimension) == (("EMEA", "NA"), None, "region")
    assert state.receivables({"week": "2026-09-07"}).week == date(2026, 9, 7)
    assert state.exposure({"party": "-5"}).party is None
    assert state.exceptions({"state": "bogus"}).state == "open"
    assert state.number({"id": "9" * 30}, "id") is None
    assert state.number({"id": "\u0663"}, "id") is None


def test_a_command_carries_only_what_the_filter_sets() -> None:
    """The payload of "everything of this filter" has no empty fields and names the text as the desk does."""
    query = state.exceptions({"cause": "bad_date", "q": "900001"})
    assert state.filter_payload(query) == {"state": "open", "cause": "bad_date", "text": "900001"}
    assert ExceptionFilter(**state.filter_payload(query)) == query


def test_changed_takes_out_what_is_empty_or_dropped() -> None:
    """A change to None or '' removes the parameter, and so does `drop`."""
    assert state.changed({"a": "1", "page": "3", "b": "2"}, {"a": None, "c": "4"}, drop=("page",)) == {"b": "2", "c": "4"}


def test_page_number_stays_within_the_table() -> None:
    """The address counts from 1, the desk from 0; beyond the end is the last page."""
    assert [state.page_number({"page": text}, 5) for text in ("1", "5", "99", "x", "0")] == [0, 4, 4, 0, 0]
    assert state.page_number({}, 0) == 0


def test_neighbours_at_the_ends_and_outside() -> None:
    """Before the first and after the last there is none; an id that is not listed has no neighbours."""
    assert state.neighbours([4, 7, 9], 7) == (4, 9)
    assert state.neighbours([4, 7, 9], 4) == (None, 7)
    assert state.neighbours([4, 7, 9], 9) == (7, None)
    assert state.neighbours([4], 5) == (None, None)


def test_one_form_is_open_at_a_time() -> None:
    """Opening a form drops the one before; closing leaves none."""
    session: dict[Any, Any] = {}
    state.open_form(session, state.Form("assign", "k1", "Assign", {}))
    state.open_form(session, state.Form("dismiss", "k2", "Dismiss", {}))
    form = state.current_form(session)
    assert form is not None
    assert form.key == "k2"
    state.close_form(session)
    state.close_form(session)
    assert state.current_form(session) is None
