"""Every page over every mood of the desk: honest, quiet, and sending nothing before it is asked to."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from streamlit.testing.v1 import AppTest

from app import state
from app.fake import SENTINEL, FakeDesk, Mood
from tests.pages.conftest import all_text

MOODS: tuple[Mood, ...] = ("full", "empty", "stale", "failing", "refusing")
OPEN = {"journeys": {"number": "90000003"}}
EMPTY_WORDS = {
    "today": "Nothing has arrived yet",
    "receivables": "There are no invoices here yet",
    "cash": "No balance has arrived yet",
    "exposure": "No customer has exposure here",
    "exceptions": "Nothing is waiting",
    "journeys": "There is no journey for this number",
    "connections": "No connection is declared",
}


@pytest.mark.parametrize("mood", MOODS)
@pytest.mark.parametrize("slug", state.PAGES)
def test_page_draws_and_submits_nothing(slug: str, mood: Mood, open_page: Callable[..., AppTest]) -> None:
    """A page opens over every mood of the desk without an exception, says its title, and commands nothing by itself."""
    desk = FakeDesk(mood)
    page = open_page(slug, desk, **OPEN.get(slug, {}))
    assert not page.exception
    assert len(page.title) == 1
    assert desk.submitted == []


@pytest.mark.parametrize("slug", state.PAGES)
def test_empty_page_names_the_next_step(slug: str, open_page: Callable[..., AppTest]) -> None:
    """With no data a page says so and what to do next; it shows no invented zero."""
    page = open_page(slug, FakeDesk("empty"), **OPEN.get(slug, {}))
    assert EMPTY_WORDS[slug] in all_text(page)
    assert all(metric.value in ("\u2013", "\u2014") for metric in page.metric)


@pytest.mark.parametrize("slug", state.PAGES)
def test_failure_leaks_no_exception_text(slug: str, open_page: Callable[..., AppTest]) -> None:
    """An unforeseen error shows calm words and a reference, never its own text."""
    page = open_page(slug, FakeDesk("failing"), **OPEN.get(slug, {}))
    told = all_text(page)
    assert "This part can't be shown" in told
    assert "Reference for your administrator" in told
    assert SENTINEL not in told
    assert "10.0.0.7" not in told


def test_a_failure_keeps_one_reference_while_its_cause_lasts(open_page: Callable[..., AppTest], caplog: pytest.LogCaptureFixture) -> None:
    """A live part that fails again every few seconds shows one reference and logs one traceback under it; a new failure after it was well gets its own."""
    desk = FakeDesk("failing")
    page = open_page("today", desk)
    (first,) = _references(page)
    assert [_references(page.run()) for _ in range(3)] == [[first]] * 3
    assert [record.getMessage() for record in caplog.records if record.exc_info] == [
        f"reference {first}: the page could not read Today's figures"
    ]
    desk.mood = "full"
    assert _references(page.run()) == []
    desk.mood = "failing"
    (second,) = _references(page.run())
    assert second != first


def _references(page: AppTest) -> list[str]:
    return [str(each.value).rpartition(" ")[2] for each in page.caption if "Reference for your administrator" in str(each.value)]


@pytest.mark.parametrize("slug", state.PAGES)
def test_refusal_shows_the_desks_own_words(slug: str, open_page: Callable[..., AppTest]) -> None:
    """A DeskError is written for people, so its words and its reference are shown."""
    told = all_text(open_page(slug, FakeDesk("refusing"), **OPEN.get(slug, {}))).replace("\\", "")
    assert "The database is being restarted." in told
    assert "ref-refused" in told


@pytest.mark.parametrize("slug", [slug for slug in state.PAGES if slug not in ("exceptions", "connections")])
def test_page_can_look_back(slug: str, open_page: Callable[..., AppTest]) -> None:
    """A past `known_at` in the address is told at the top and stands in the as-of line."""
    told = all_text(open_page(slug, FakeDesk(), known_at="2026-11-10T10:00:00+00:00", **OPEN.get(slug, {}))).replace("\\", "")
    assert "As it was known at 2026-11-10 10:00 +00:00" in told
    assert "As of 2026-11-10 10:00 +00:00" in told


def test_every_table_has_a_safe_export(open_page: Callable[..., AppTest]) -> None:
    """Beside every table with data stand a CSV and an XLSX of our own; Streamlit's unguarded one is off."""
    page = open_page("receivables", FakeDesk(), week="2026-09-07")
    exports = [str(getattr(button, "label", "")) for button in page.get("download_button")]
    assert exports.count("CSV") == exports.count("XLSX") >= 5


def test_a_limited_analyst_sees_one_region(open_page: Callable[..., AppTest]) -> None:
    """Whoever is limited to EMEA reads no customer of another region on the page."""
    page = open_page("exposure", FakeDesk("full", "analyst-emea"))
    told = all_text(page) + "".join(str(table.value) for table in page.dataframe)
    assert "Harrow" in told
    assert "Aceros del Norte" not in told
    assert "Hoshino" not in told


def test_streams_that_fail_alike_say_it_once(open_page: Callable[..., AppTest]) -> None:
    """One outage is one warning that names its streams, not one for each; a paused stream is told to wait for a person, not for a time."""
    page = open_page("connections", FakeDesk("stale"), connection="sap-apac")
    (warning,) = page.warning
    told = warning.value.replace("\\", "")
    assert told.startswith("sales orders, billing documents, accounting items: No answer within 30 s")
    assert "Next attempt" in told


def test_facts_inside_facts_are_named_and_not_shown_as_code(open_page: Callable[..., AppTest]) -> None:
    """What a decision saw of an order reads "order number", never a dictionary of the program."""
    page = open_page("exposure", FakeDesk(), case="8")
    named = {name: value for table in page.dataframe if "what" in table.value for name, value in table.value.itertuples(index=False)}
    assert named["order number"] == "4500001873"
    assert named["order delivery block"] == "\u2013"
