"""Filters whose value is the page's address: the address is read before the widget is drawn, a choice is written back to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import streamlit as st

from app.widgets import links

_PAGED = ("page", "id")


def choose(label: str, param: str, options: Sequence[str], *, key: str, words: Callable[[str], str] = str, any_words: str = "All") -> None:
    """One of `options` or none of them."""
    current = st.query_params.get(param)
    listed = ["", *dict.fromkeys([*options, *([current] if current else [])])]
    st.session_state[key] = current or ""
    st.selectbox(
        label,
        listed,
        key=key,
        format_func=lambda option: words(option) if option else any_words,
        width=240,
        on_change=_write,
        args=(key, param),
    )


def choose_many(label: str, param: str, options: Sequence[str], *, key: str) -> None:
    """Any number of `options`; none chosen means all."""
    current = [part for part in st.query_params.get(param, "").split(",") if part]
    st.session_state[key] = current
    st.multiselect(
        label, list(dict.fromkeys([*options, *current])), key=key, placeholder="All", width=240, on_change=_write_many, args=(key, param)
    )


def switch(label: str, param: str, options: Sequence[str], *, key: str, default: str, words: Callable[[str], str] = str) -> str:
    """One of a few options, always one; returns it."""
    current = st.query_params.get(param, default)
    current = current if current in options else default
    st.session_state[key] = current
    st.segmented_control(
        label,
        list(options),
        key=key,
        format_func=words,
        required=True,
        label_visibility="collapsed",
        on_change=_write_switch,
        args=(key, param, default),
    )
    return current


def words(label: str, param: str, *, key: str, placeholder: str = "", width: int = 260) -> None:
    """Free text."""
    st.session_state[key] = st.query_params.get(param, "")
    st.text_input(label, key=key, placeholder=placeholder, type="search", width=width, on_change=_write, args=(key, param))


def tick(label: str, param: str, *, key: str) -> None:
    """Yes or no."""
    st.session_state[key] = st.query_params.get(param) == "1"
    st.toggle(label, key=key, on_change=_write_tick, args=(key, param))


def clear(params: Sequence[str], *, key: str, label: str = "Clear filters") -> None:
    """A button that takes the filters out of the address; drawn only when one is set."""
    if any(st.query_params.get(param) for param in params):
        st.button(label, key=key, type="tertiary", on_click=links.set_params, args=(dict.fromkeys(params),), kwargs={"drop": _PAGED})


def _write(key: str, param: str) -> None:
    links.set_params({param: st.session_state[key] or None}, drop=_PAGED)


def _write_many(key: str, param: str) -> None:
    links.set_params({param: ",".join(st.session_state[key]) or None}, drop=_PAGED)


def _write_switch(key: str, param: str, default: str) -> None:
    chosen = st.session_state[key]
    links.set_params({param: None if chosen == default else chosen}, drop=_PAGED)


def _write_tick(key: str, param: str) -> None:
    links.set_params({param: "1" if st.session_state[key] else None}, drop=_PAGED)
