"""Ways from one page to another: only to pages that the person's roles open."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st
from streamlit.navigation.page import Page

from app import state

_REGISTER = "tidegate.pages"


def register(pages: Mapping[str, Page]) -> None:
    """Remember which pages this person has on this run."""
    st.session_state[_REGISTER] = dict(pages)


def has(slug: str) -> bool:
    """Whether the person can go to the page."""
    return slug in st.session_state.get(_REGISTER, {})


def link(slug: str, label: str, params: Mapping[str, str] | None = None, *, width: str = "content") -> None:
    """A link to another page with its parameters, keeping `known_at`; nothing when the person does not have the page."""
    if has(slug):
        query = state.changed(dict(params or {}), {state.KNOWN_AT: st.query_params.get(state.KNOWN_AT)})
        st.page_link(st.session_state[_REGISTER][slug], label=f":blue[{label}]", query_params=query, width=width)  # type: ignore[arg-type]


def go(slug: str, params: Mapping[str, str]) -> None:
    """Move to another page now, if the person has it."""
    if has(slug):
        query = state.changed(dict(params), {state.KNOWN_AT: st.query_params.get(state.KNOWN_AT)})
        st.switch_page(st.session_state[_REGISTER][slug], query_params=query)


def set_params(changes: Mapping[str, str | None], *, drop: tuple[str, ...] = ()) -> None:
    """Change this page's address; the page follows on the next run."""
    st.query_params.from_dict(state.changed(st.query_params.to_dict(), changes, drop=drop))
