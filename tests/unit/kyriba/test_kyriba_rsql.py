"""Filters: what goes in as a value comes out as that value, and never as a part of the filter."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from sync.systems.kyriba import rsql


def test_plain_values_stay_as_they_are() -> None:
    """As the vendor's own samples write them."""
    assert rsql.equal("reference", "USECASE_TEST-1") == "reference==USECASE_TEST-1"
    assert rsql.among("code", ["A1", "B 2"]) == "code=in=(A1,'B 2')"


def test_a_value_with_a_meaning_is_quoted() -> None:
    """Quotes and backslashes inside are escaped; an empty value is two quotes."""
    assert rsql.quoted("x;status==ACTUAL") == "'x;status==ACTUAL'"
    assert rsql.quoted("O'Neil") == r"'O\'Neil'"
    assert rsql.quoted("a\\b") == r"'a\\b'"
    assert rsql.quoted("") == "''"


@given(st.text(st.characters(blacklist_categories=["Cs"]), max_size=30))
def test_what_is_quoted_reads_back(value: str) -> None:
    """By the grammar's own rule for both kinds of value."""
    text = rsql.quoted(value)
    if text.startswith("'"):
        assert re.fullmatch(r"'(?:[^'\\]|\\.)*'", text, re.DOTALL)
        assert re.sub(r"\\(.)", r"\1", text[1:-1], flags=re.DOTALL) == value
    else:
        assert re.fullmatch(r"[^\"'();,=!~<>\\ \t\r\n]+", text)
        assert text == value


def test_moments_are_utc_to_the_second() -> None:
    """Whatever zone they come in."""
    local = datetime(2026, 5, 20, 14, 0, 1, 999, tzinfo=timezone(timedelta(hours=2)))
    assert rsql.since("updateDateTime", local) == "updateDateTime=ge=2026-05-20T12:00:01Z"


def test_filters_are_joined_so_that_each_holds() -> None:
    """An "or" keeps to itself."""
    assert rsql.every("", "a==1") == "a==1"
    assert rsql.every("a==1,b==2", "c==3") == "(a==1,b==2);c==3"
    assert rsql.every() == ""
