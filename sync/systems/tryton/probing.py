"""`tidegate connections test` on Tryton: what is tried, and in words what is missing and whom to ask."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from sync.clock_skew import clock_finding
from sync.errors import SourceError
from sync.http import Answer, wall_clock
from sync.ports import Finding, Page
from sync.systems.tryton.answers import result_of
from sync.systems.tryton.client import Session
from sync.systems.tryton.mapping import map_page
from sync.systems.tryton.settings import Settings
from sync.systems.tryton.wire import STAMPS, Reading, root


def server(session: Session) -> Iterator[Finding]:
    """Address, credentials, clock and company. What fails here is raised: without it there is nothing more to try."""
    session.login()
    yield Finding("credentials", ok=True, words=f"{session.settings.base_url} opened a session on {session.settings.database}")
    answer = session.read("res.user", "get_preferences", True)
    yield clock_finding(answer.headers, wall=wall_clock())
    context = result_of(answer, "preferences")
    company = session.context().get("company")
    words = f"works in company {company}" if company else (
        "the user has no company: ask the administrator to set one in the user's preferences, or name its id as the option company"
    )  # fmt: skip
    yield Finding("company", ok=bool(company), words=words)
    if isinstance(context, dict) and context.get("company_filter") == "all":
        yield Finding("companies", ok=True, words="the user sees all its companies: their names go under legal_entity_by_company")
    yield notes(session)


def notes(session: Session) -> Finding:
    """Whether our word on a customer's debts could be written."""
    try:
        said = session.ask("ir.model.access", "get_access", ["ir.note"])
    except SourceError as error:
        return Finding("notes", ok=False, words=error.detail)
    held: Any = said.get("ir.note") if isinstance(said, dict) else None
    lacking = [right for right in ("read", "create", "write") if not (isinstance(held, dict) and held.get(right))]
    words = f"the user may not {', '.join(lacking)} notes: update_collections needs it" if lacking else "notes on parties may be written"
    return Finding("notes", ok=not lacking, words=words)


def stream(session: Session, reading: Reading, settings: Settings, paged: Callable[[Answer], Page]) -> Iterator[Finding]:
    """The fields that the model has, and a first page."""
    try:
        said = session.ask(reading.model, "fields_get", reading.roots())
    except SourceError as error:
        words = f"{error.detail}; a stream that is not wanted is turned off by streams = {{ {reading.stream} = {{ enabled = false }} }}"
        yield Finding(f"{reading.stream} fields", ok=False, words=words)
        return
    known = set(said) if isinstance(said, dict) else set()
    missing = reading.missing(known)
    absent = sorted({root(name) for name in (*reading.optional, *STAMPS)} - known)
    words = f"{reading.model}: {len(known)} read" + (f"; not in this database: {', '.join(absent)}" if absent else "")
    if missing:
        words = (
            f"{reading.model} lacks {', '.join(missing)}, or hides it: ask the administrator for the module or for read access to the field"
        )
    yield Finding(f"{reading.stream} fields", ok=not missing, words=words)
    if not missing:
        yield _first_page(session, reading, settings, known, paged)


def _first_page(session: Session, reading: Reading, settings: Settings, known: set[str], paged: Callable[[Answer], Page]) -> Finding:
    what = f"{reading.stream} first page"
    try:
        answer = session.read(reading.model, "search_read", reading.domain(None, None, known), 0, 5, [["id", "DESC"]], reading.asked(known))
        mapped = map_page(reading, paged(answer), settings)
    except SourceError as error:
        return Finding(what, ok=False, words=error.detail)
    bad = mapped.rejects.height
    why = f": {mapped.rejects['message'][0]}" if bad else ""
    return Finding(what, ok=not bad, words=f"{mapped.records} records read, {bad} could not be mapped{why}")
