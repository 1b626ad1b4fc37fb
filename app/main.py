"""The dashboard's root: who you are, which pages you have. Run by `tidegate up` or `tidegate dashboard`."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import streamlit as st
from streamlit.navigation.page import Page

from app import state
from app.desk import Desk
from app.pages import cash, connections, exceptions, exposure, journeys, receivables, today
from app.widgets import frame, links, words

ICON = Path(__file__).with_name("icon.png")
LOGO = Path(__file__).with_name("logo.svg")

PAGES: dict[str, tuple[str, Callable[[Desk], None]]] = {
    "today": ("Today", today.render),
    "receivables": ("Receivables", receivables.render),
    "cash": ("Cash & forecast", cash.render),
    "exposure": ("Exposure", exposure.render),
    "exceptions": ("Exceptions", exceptions.render),
    "journeys": ("Journeys", journeys.render),
    "connections": ("Connections", connections.render),
}


def main() -> None:
    """Draws the page that the address names, for whoever is signed in now."""
    st.set_page_config(page_title="Tidegate", page_icon=ICON, layout="wide", initial_sidebar_state="collapsed", menu_items={})
    frame.style()
    st.logo(LOGO, size="large")
    looked_up = frame.ask(lambda: (_desk(),), of="Your session")
    if looked_up is None:
        links.register({})
        _anywhere(_unreachable)
        return
    (desk,) = looked_up
    if desk is None:
        links.register({})
        _anywhere(_welcome)
        return
    slugs = state.pages_of(desk.person)
    pages = {slug: Page(partial(_page, desk, slug), title=PAGES[slug][0], url_path=slug) for slug in slugs}
    if not pages:
        _anywhere(partial(_no_pages, desk))
        return
    links.register(pages)
    frame.look_up_with(_desk)
    # A default page answers at the root only, and a link to it by name would not be found: so the root leads on to the first page.
    root = Page(
        partial(links.go, slugs[0], st.query_params.to_dict()), title="Tidegate", url_path="root", default=True, visibility="hidden"
    )
    chosen = st.navigation([root, *pages.values()], position="top")
    _carry_known_at(chosen.url_path)
    chosen.run()


def _anywhere(draw: Callable[[], None]) -> None:
    """One screen at every address, so that a link to a page is no "not found" for somebody who is not signed in yet."""
    root = Page(draw, title="Tidegate", url_path="root", default=True)
    st.navigation([root, *(Page(draw, title="Tidegate", url_path=slug) for slug in state.PAGES)], position="hidden").run()


def _page(desk: Desk, slug: str) -> None:
    _person_bar(desk)
    render = PAGES[slug][1]
    frame.ask(lambda: render(desk), of="This page")


def _desk() -> Desk | None:
    rehearsed = os.environ.get("TIDEGATE_FAKE_DESK")
    if rehearsed:
        from app import fake

        return fake.from_environment(rehearsed)
    from app import session

    return session.desk()


def _welcome() -> None:
    with st.container(horizontal_alignment="center"), st.container(width=460, key="welcome"):
        st.title("Tidegate", anchor=False)
        st.markdown("See your company's money move between treasury, CRM and ERP, and act on it.")
        from app import session

        if session.is_signed_in():
            st.markdown("You are signed in, but your account has no access here. Ask your administrator for a role, then sign in again.")
            st.button("Sign out", key="session.out", on_click=session.end)
        else:
            st.button("Sign in", key="session.in", type="primary", on_click=session.begin)


def _unreachable() -> None:
    """Below the words on the failure: nobody is told to sign in, or to ask for a role, when it is not known who they are."""
    st.button("Try again", key="session.again")


def _no_pages(desk: Desk) -> None:
    _person_bar(desk)
    frame.empty(
        "Your account has no role here yet.", "Ask your administrator to put you into a group that Tidegate knows, then sign in again."
    )


def _person_bar(desk: Desk) -> None:
    person = desk.person
    with st.container(horizontal=True, horizontal_alignment="right", vertical_alignment="center", key="person-bar"):
        rehearsal = desk.rehearsal()
        if rehearsal:
            st.badge(words.plain(rehearsal), color="orange")
        roles = ", ".join(sorted(person.roles))
        st.markdown(
            f"**{words.plain(person.name)}** \u00b7 {words.plain(roles)} \u00b7 {words.plain(frame.scope(person))}", width="content"
        )
        st.button("Sign out", key="session.out", type="tertiary", on_click=_sign_out)


def _sign_out() -> None:
    if not os.environ.get("TIDEGATE_FAKE_DESK"):
        from app import session

        session.end()


def _carry_known_at(slug: str) -> None:
    session = st.session_state
    kept = state.carried_known_at(
        st.query_params.to_dict(), session.get(state.REMEMBERED_KNOWN_AT), page_changed=session.get(state.LAST_PAGE) != slug
    )
    if kept and st.query_params.get(state.KNOWN_AT) != kept:
        st.query_params[state.KNOWN_AT] = kept
    session[state.REMEMBERED_KNOWN_AT] = kept
    session[state.LAST_PAGE] = slug


main()
