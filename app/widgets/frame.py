"""What every page has: its head, the as-of line, the honest empty state and the failure that tells nothing it should not."""

from __future__ import annotations

import logging
import traceback
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, time, tzinfo
from pathlib import Path
from typing import Literal, TypeVar

import streamlit as st

from app import state
from app.charts import palette
from app.desk import Desk, DeskError, Person
from app.widgets import links, words

_LOG = logging.getLogger("tidegate.pages")
_STYLE = Path(__file__).with_name("tidegate.css")
LIVE_SECONDS = 3
_LOOK_UP = "tidegate.look_up"
_FAILING = "tidegate.failing"

T = TypeVar("T")


def style() -> None:
    """The one stylesheet, static text of ours."""
    st.html(_STYLE)


def zone() -> tzinfo:
    """The viewer's time zone as the browser tells it."""
    return words.zone_named(st.context.timezone)


def colours() -> palette.Palette:
    """The palette for the theme that the viewer sees."""
    return palette.DARK if st.context.theme.type == "dark" else palette.LIGHT


def known_at() -> datetime | None:
    """The moment that this page is asked for, from its address; None for now."""
    return state.known_at(st.query_params.to_dict())


def look_up_with(look_up: Callable[[], Desk | None]) -> None:
    """Remember how the desk of this session is looked up, for parts that refresh without the rest of the page."""
    st.session_state[_LOOK_UP] = look_up


def fresh(desk: Desk) -> Desk:
    """The desk with the person's roles of this moment; a part that refreshes alone starts with this. Leads out whoever may no longer be here."""
    look_up: Callable[[], Desk | None] | None = st.session_state.get(_LOOK_UP)
    if look_up is None:
        return desk
    current = look_up()
    if current is None or current.person != desk.person:
        st.rerun()
    return current


def live_every() -> int | None:
    """Seconds between refreshes of live parts; None when the page shows the past, which does not move."""
    return None if known_at() else LIVE_SECONDS


def head(desk: Desk, title: str, question: str, *, can_look_back: bool = True) -> None:
    """The page's title, the question it answers, and the control for looking back."""
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center", key="page-head"):
        with st.container(width="content", gap="xxsmall"):
            st.title(title, anchor=False, width="content")
            st.caption(question, width="content")
        if can_look_back:
            _look_back(desk)
    moment = known_at()
    if moment and can_look_back:
        with st.container(horizontal=True, vertical_alignment="center", key="known-at-bar"):
            st.markdown(f"**As it was known at {words.instant(moment, zone())}.** Facts that arrived later are left out.", width="stretch")
            st.button("Back to now", key="known_at.now", on_click=_know_now)


def _look_back(desk: Desk) -> None:
    moment = (known_at() or desk.now()).astimezone(zone())
    with st.popover("Known at", help="Show the page as it was known at a past time"), st.form("known_at.form", border=False):
        day = st.date_input("Date", moment.date(), format="YYYY-MM-DD", key="known_at.day", max_value=desk.now().astimezone(zone()).date())
        clock = st.time_input("Time", moment.time().replace(second=0, microsecond=0), key="known_at.time", step=300)
        if st.form_submit_button("Show", key="known_at.show", type="primary"):
            _know_at(day, clock)


def _know_at(day: date | None, clock: time | None) -> None:
    if day is not None and clock is not None:
        moment = datetime.combine(day, clock, zone()).astimezone(UTC)
        st.session_state[state.REMEMBERED_KNOWN_AT] = moment.isoformat()
        links.set_params({state.KNOWN_AT: moment.isoformat()})
        st.rerun()


def _know_now() -> None:
    st.session_state.pop(state.REMEMBERED_KNOWN_AT, None)
    links.set_params({state.KNOWN_AT: None})


def as_of(
    moment: datetime, *, currency: str | None = None, rate_date: date | None = None, settling: bool = False, more: Sequence[str] = ()
) -> None:
    """The line that says what the page knows as of when, and at which rates."""
    parts = [f"As of {words.instant(moment, zone())}"]
    if currency:
        parts.append(f"amounts in {currency} at ECB reference rates of {rate_date.isoformat()}" if rate_date else f"amounts in {currency}")
    if settling:
        parts.append("settling: some sources are not complete up to this time")
    st.caption(" \u00b7 ".join([*parts, *(words.plain(part) for part in more)]))


def ask(question: Callable[[], T], *, of: str) -> T | None:
    """The desk's answer, or None after the page has said calmly that it could not be had. `of` names what was asked for.

    While the same cause lasts, whoever looks keeps one reference, and its traceback is logged once: a part that refreshes by itself would
    show and log a new one every few seconds.
    """
    try:
        answer = question()
    except DeskError as error:
        _failed(str(error), error.reference)
    except Exception as error:
        _failed(
            f"{of} could not be read just now. Nothing is lost; the rest of Tidegate goes on working. Try again in a minute.",
            _reference(error, of),
        )
    else:
        _failing().pop(of, None)
        return answer
    return None


def _failing() -> dict[str, tuple[tuple[str, ...], str]]:
    """What can't be read now in this session: by what was asked for its cause and reference."""
    kept: dict[str, tuple[tuple[str, ...], str]] = st.session_state.setdefault(_FAILING, {})
    return kept


def _reference(error: Exception, of: str) -> str:
    """The reference under which the log has the traceback; the one from before when the same fault was raised at the same place."""
    *_, (place, line) = traceback.walk_tb(error.__traceback__)
    cause = (type(error).__qualname__, place.f_code.co_filename, str(line))
    known = _failing().get(of)
    if known is not None and known[0] == cause:
        return known[1]
    reference = uuid.uuid4().hex[:12]
    _failing()[of] = (cause, reference)
    _LOG.error("reference %s: the page could not read %s", reference, of, exc_info=error)
    return reference


def _failed(message: str, reference: str) -> None:
    with st.container(border=True):
        st.markdown(f"**This part can't be shown.** {words.plain(message)}")
        if reference:
            st.caption(f"Reference for your administrator: {words.plain(reference)}")


def empty(title: str, next_step: str) -> None:
    """An honest empty state: what is missing, and what to do next."""
    with st.container(border=True):
        st.markdown(f"**{title}**")
        st.caption(next_step)


def section(title: str, caption: str | None = None) -> None:
    """A section's heading with what it shows in which unit when."""
    st.subheader(title, anchor=False)
    if caption:
        st.caption(caption)


def scope(person: Person) -> str:
    """The person's region scope in words."""
    return "all regions" if person.regions is None else ", ".join(sorted(person.regions)) or "no region"


Tone = Literal["green", "orange", "red", "gray", "blue"]
_TONES: dict[str, Tone] = {"good": "green", "warning": "orange", "bad": "red", "unknown": "gray"}
_MARKS = {"good": "\u25cf", "warning": "\u25b2", "bad": "\u25a0", "unknown": "\u25cb"}


def health(kind: str, text: str) -> None:
    """A state as a word with a shape and a colour."""
    st.badge(f"{_MARKS.get(kind, '')} {words.plain(text)}", color=_TONES.get(kind, "gray"))
