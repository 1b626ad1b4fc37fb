"""The opponent of the page benchmark: Today's widgets, in the same number and nesting, over constants. Streamlit's own price."""

from __future__ import annotations

from pathlib import Path

import streamlit as st
from streamlit.navigation.page import Page

APP = Path(__file__).resolve().parents[2] / "app"
SPARKS = (30, 20, 13, 8, 7)
HANDS = 5
FEEDS = 7
TITLES = ("Today", "Receivables", "Cash & forecast", "Exposure", "Journeys", "Connections")


def _today() -> None:
    with st.container(horizontal=True, horizontal_alignment="right", vertical_alignment="center", key="person-bar"):
        st.badge("A badge of some words about the clock", color="orange")
        st.markdown("**Some Name** · role · all regions", width="content")
        st.button("Sign out", key="session.out", type="tertiary")
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center", key="page-head"):
        with st.container(width="content", gap="xxsmall"):
            st.title("Today", anchor=False, width="content")
            st.caption("Is money moving as it should?", width="content")
        with st.popover("Known at", help="Words"), st.form("known_at.form", border=False):
            st.date_input("Date", key="known_at.day", format="YYYY-MM-DD")
            st.time_input("Time", key="known_at.time", step=300)
            st.form_submit_button("Show", key="known_at.show", type="primary")

    @st.fragment(run_every=3)
    def live() -> None:
        st.caption("As of a moment")
        with st.grid(5, min_column_width=218, key="tiles-today"):
            for at, points in enumerate(SPARKS):
                with st.container(border=True, gap="small", height="stretch", key=f"tile-today-{at}"):
                    st.metric(f"Figure {at}", "1,234,567", "12", help="Words", chart_data=list(range(points)), chart_type="area")
                    st.caption("A line  \nAnother line  \nA third line")
                    st.space("stretch")
                    st.page_link(PAGES[1], label=":blue[Open]", width="content")
        left, right = st.columns([3, 2], gap="large")
        with left:
            _hands()
        with right:
            _feeds()

    live()


def _hands() -> None:
    st.subheader("Needs a hand", anchor=False)
    st.caption("A caption of some words")
    for at in range(HANDS):
        with st.container(horizontal=True, vertical_alignment="center", key=f"row-hand-{at}"):
            with st.container(gap=None):
                st.markdown("**A title of some words**")
                st.caption("A line of details about it")
            with st.container(width=170, key=f"money-hand-{at}"):
                st.markdown("EUR 1,234,567.89")
            st.page_link(PAGES[2], label=":blue[Open]", width="content")


def _feeds() -> None:
    st.subheader("Freshness of every source", anchor=False)
    st.caption("A caption of some words")
    for at in range(FEEDS):
        with st.container(horizontal=True, vertical_alignment="center", key=f"row-feed-{at}"):
            with st.container(gap=None):
                st.markdown("**a-connection**")
                st.caption("stream: 1 min old, target 5 min")
            with st.container(width=92):
                st.badge("fresh", color="green")
            st.page_link(PAGES[5], label=":blue[Open]", width="content")


def _other() -> None:
    st.title("Another page", anchor=False)


st.set_page_config(page_title="Constant", layout="wide", initial_sidebar_state="collapsed", menu_items={})
st.html(APP / "widgets" / "tidegate.css")
st.logo(APP / "logo.svg", size="large")
PAGES = [Page(_today if not at else _other, title=title, url_path=title.lower().split()[0]) for at, title in enumerate(TITLES)]
_root = Page(lambda: st.switch_page(PAGES[0]), title="Root", url_path="root", default=True, visibility="hidden")
st.navigation([_root, *PAGES], position="top").run()
