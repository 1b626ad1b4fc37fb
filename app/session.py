"""The person at this browser session and their desk, looked up again on every rerun. The only seam between pages and the live Desk."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Any

import streamlit as st

from app import fake, people, sign_in
from app.desk import Desk, DeskError
from app.live import LiveDesk
from app.office import Office, open_office
from app.people import Claims
from db.engine import reading, writing

_RECORDED = "session.recorded"


@st.cache_resource(show_spinner=False)
def _office() -> Office:
    """The one engine, clock and landscape of this process; scope comes with each Desk, never with the cache."""
    return open_office(application="tidegate-dashboard", pool_size=8)


def desk() -> Desk | None:
    """The Desk of whoever is signed in, with the roles that the database gives them now; None when nobody is, or no longer may be."""
    rehearsed = os.environ.get("TIDEGATE_FAKE_DESK")
    if rehearsed:
        return fake.from_environment(rehearsed)
    if not st.user.is_logged_in:
        return None
    office = _office()
    claims = _claims(office)
    if claims is None:
        return None
    if st.session_state.get(_RECORDED) != people.session_id(claims):
        granted = sign_in.granted(claims.groups, sign_in.grants_of(office.landscape))
        with writing(office.database.engine) as conn:
            people.record(conn, claims, granted, now=office.clock.now())
        st.session_state[_RECORDED] = people.session_id(claims)
    with reading(office.database.engine) as conn:
        person = people.look_up(conn, claims, wall_now=datetime.now(UTC), session_hours=office.session_hours)
    return LiveDesk(office, person) if person is not None else None


def is_signed_in() -> bool:
    """Whether the browser holds an identity, whatever it may do here."""
    return bool(os.environ.get("TIDEGATE_FAKE_DESK")) or bool(st.user.is_logged_in)


def begin() -> None:
    """Sends the browser to the identity provider."""
    st.login()


def end() -> None:
    """Ends the session here and at the browser."""
    if os.environ.get("TIDEGATE_FAKE_DESK"):
        return
    office = _office()
    claims = _claims(office)
    if claims is not None:
        with writing(office.database.engine) as conn:
            people.end_session(conn, claims, now=office.clock.now())
    st.logout()


def _claims(office: Office) -> Claims | None:
    said: dict[str, Any] = dict(st.user.to_dict())
    issued, subject = said.get("iat"), said.get("sub")
    if issued is None or subject is None:
        raise DeskError("The identity provider sent no subject or no issue time; ask its administrator to include sub and iat.")
    groups = said.get(office.groups_claim) or []
    return Claims(
        subject=str(subject),
        issuer=str(said.get("iss", "")),
        name=said.get("name"),
        email=said.get("email"),
        groups=tuple(str(group) for group in ([groups] if isinstance(groups, str) else groups)),
        issued_at=datetime.fromtimestamp(int(issued), UTC),
    )
