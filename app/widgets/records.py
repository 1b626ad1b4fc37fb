"""The record behind a row: the bytes as they were received."""

from __future__ import annotations

import streamlit as st

from app.desk import Desk
from app.widgets import frame, links, words

PARAM = "record"


def show(desk: Desk) -> None:
    """The record that the address names, if it names one."""
    text = st.query_params.get(PARAM, "")
    if not text.isdigit():
        return
    found = frame.ask(lambda: desk.evidence(int(text)), of="The record")
    if found is None:
        return
    with st.container(border=True, key="record-panel"):
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            st.markdown(f"**Record as received from {words.plain(found.connection)}, {words.plain(found.stream)}**", width="content")
            st.button("Close", key="record.close", type="tertiary", on_click=links.set_params, args=({PARAM: None},))
        st.caption(
            words.plain(
                f"{found.page_name or 'page'}, record {found.ordinal}, received {words.instant(found.received_at, frame.zone())}, {found.digest}"
            )
        )
        st.code(found.text, language=None, wrap_lines=True, height=320 if found.text.count("\n") > 14 else "content")
