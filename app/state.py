"""What a page's address means, and how it changes: pure functions over plain mappings, no Streamlit.

The address (query parameters) is the one place where filters and selection live, so a link sent to a colleague opens the same
view. Forms that are open live in the session, because they are nobody else's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

from app.desk import CashFilter, ExceptionFilter, ExposureFilter, OrderKey, Person, ReceivablesFilter

PAGES = ("today", "receivables", "cash", "exposure", "exceptions", "journeys", "connections")
"""Every page there is, in the order of the navigation."""

_PAGES_OF_ROLE: Mapping[str, frozenset[str]] = {
    "leader": frozenset({"today", "receivables", "cash", "exposure", "journeys"}),
    "analyst": frozenset({"today", "receivables", "cash", "exposure", "journeys", "connections"}),
    "operator": frozenset({"today", "exposure", "exceptions", "journeys", "connections"}),
    "admin": frozenset(PAGES),
    "auditor": frozenset(PAGES),
}

DIMENSIONS = ("region", "legal_entity", "customer", "country", "currency")
EXCEPTION_STATES = ("open", "new", "acknowledged", "waiting", "replaying", "regressed", "dismissed", "resolved", "any")

KNOWN_AT = "known_at"
RECEIPT = "receipt"
ORDER = "order"
FORM = "tidegate.form"
REMEMBERED_KNOWN_AT = "tidegate.known_at"
LAST_PAGE = "tidegate.page"

_FILTERS_OF_QUEUE = ("state", "cause", "connection", "region", "entity", "fingerprint", "customer", "q", "owner")


def pages_of(person: Person) -> tuple[str, ...]:
    """The slugs of the pages that the person's roles open, in the order of the navigation."""
    allowed: set[str] = set()
    for role in person.roles:
        allowed |= _PAGES_OF_ROLE.get(role, frozenset())
    return tuple(slug for slug in PAGES if slug in allowed)


def may_act(person: Person) -> bool:
    """Whether the person may command anything at all: operators and admins; the command checks again."""
    return person.may("operator")


def known_at(params: Mapping[str, str]) -> datetime | None:
    """The moment (UTC) that the page is asked for, or None for now; a time that can't be read is no moment."""
    text = params.get(KNOWN_AT)
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text.replace(" ", "+"))
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def carried_known_at(params: Mapping[str, str], remembered: str | None, *, page_changed: bool) -> str | None:
    """The `known_at` that holds on this run: the address's own, or on a change of page the one of the page before."""
    return params.get(KNOWN_AT) or (remembered if page_changed else None)


def receivables(params: Mapping[str, str]) -> ReceivablesFilter:
    """The Receivables page's cut as its address has it."""
    dimension = params.get("by", "region")
    return ReceivablesFilter(
        regions=_many(params.get("region")),
        legal_entities=_many(params.get("entity")),
        customer=params.get("customer") or None,
        week=_day(params.get("week")),
        dimension=dimension if dimension in DIMENSIONS else "region",
    )


def cash(params: Mapping[str, str]) -> CashFilter:
    """The Cash & forecast page's cut as its address has it."""
    return CashFilter(
        regions=_many(params.get("region")),
        legal_entity=params.get("entity") or None,
        currency=params.get("currency") or None,
        cause=params.get("cause") or None,
    )


def exposure(params: Mapping[str, str]) -> ExposureFilter:
    """The Exposure page's cut as its address has it."""
    return ExposureFilter(regions=_many(params.get("region")), only_breached=params.get("breached") == "1", party=number(params, "party"))


def exceptions(params: Mapping[str, str]) -> ExceptionFilter:
    """Which exceptions the address asks for; an unknown state reads as open."""
    state = params.get("state", "open")
    return ExceptionFilter(
        state=state if state in EXCEPTION_STATES else "open",
        cause=params.get("cause") or None,
        connection=params.get("connection") or None,
        region=params.get("region") or None,
        entity=params.get("entity") or None,
        fingerprint=params.get("fingerprint") or None,
        customer=params.get("customer") or None,
        text=params.get("q") or None,
        owner=params.get("owner") or None,
    )


def filter_payload(query: ExceptionFilter) -> dict[str, str]:
    """The filter as a command carries it: only what is set."""
    fields = ("state", "cause", "connection", "region", "entity", "fingerprint", "customer", "text", "owner")
    return {name: value for name in fields if (value := getattr(query, name))}


def queue_is_filtered(params: Mapping[str, str]) -> bool:
    """Whether the queue shows less than everything open."""
    return any(params.get(name) for name in _FILTERS_OF_QUEUE)


def number(params: Mapping[str, str], name: str) -> int | None:
    """A positive whole number out of the address, or None."""
    text = params.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def order(params: Mapping[str, str]) -> OrderKey | None:
    """The sales order that the address names as `source/key`, or None."""
    source, sign, key = params.get(ORDER, "").partition("/")
    return OrderKey(source, key) if source and sign and key else None


def order_param(order: OrderKey) -> str:
    """The order as the address holds it."""
    return f"{order.source}/{order.key}"


def page_number(params: Mapping[str, str], pages: int) -> int:
    """The page of a table, from 0, within its `pages` (the address counts from 1)."""
    return min(max((number(params, "page") or 1) - 1, 0), max(pages - 1, 0))


def changed(params: Mapping[str, str], changes: Mapping[str, str | None], *, drop: Iterable[str] = ()) -> dict[str, str]:
    """The address with `changes` made (None or '' takes a parameter out) and every name of `drop` taken out."""
    merged = {**params, **changes}
    gone = set(drop)
    return {name: value for name, value in merged.items() if value and name not in gone}


def neighbours(ids: Iterable[int], current: int) -> tuple[int | None, int | None]:
    """The ids before and after `current` in the list, None at its ends or when it is not in it."""
    listed = list(ids)
    if current not in listed:
        return None, None
    at = listed.index(current)
    return (listed[at - 1] if at else None), (listed[at + 1] if at + 1 < len(listed) else None)


@dataclass(frozen=True, slots=True)
class Form:
    """A form that is open: what it will command, with the idempotency key it got when it opened."""

    kind: str
    key: str
    title: str
    payload: Mapping[str, Any]
    total: int = 1
    context: Mapping[str, str] = field(default_factory=dict)


def open_form(session: MutableMapping[Any, Any], form: Form) -> None:
    """Open `form`; one that was open before is dropped."""
    session[FORM] = form


def close_form(session: MutableMapping[Any, Any]) -> None:
    """Close whatever form is open."""
    session.pop(FORM, None)


def current_form(session: Mapping[Any, Any]) -> Form | None:
    """The form that is open, if one is."""
    form = session.get(FORM)
    return form if isinstance(form, Form) else None


def _many(text: str | None) -> tuple[str, ...]:
    return tuple(part for part in (text or "").split(",") if part)


def _day(text: str | None) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        return None
