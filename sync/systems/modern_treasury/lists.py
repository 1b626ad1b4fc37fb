"""Walking the organisation's lists page by page: from where, how a walk is taken up again, and when it goes round in circles."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sync.errors import PermanentError, TransientError
from sync.ports import Cursor
from sync.systems.modern_treasury.answers import Listing
from sync.systems.modern_treasury.client import Session
from sync.systems.modern_treasury.settings import Settings
from sync.systems.modern_treasury.wire import stamps

PAGES_MAX = 100_000
ANEW_MAX = 3
"""So often in a pull a walk whose cursor is refused begins anew."""


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list: its path, what is asked of it always, and its lower bound for a walk from `since` on. `by_stamp`: the bound is the records'
    own update stamp, so that the next walk begins at the newest one met; else it is a day, and the next begins at the day of this one.
    """

    path: str
    always: Mapping[str, str]
    bound: Callable[[datetime, Settings], Mapping[str, str]]
    by_stamp: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """A page of a walk and the cursor that is true once it is committed; None leaves it where it is."""

    listing: Listing
    name: str
    cursor: Cursor | None
    last: bool = False


def _day(name: str, days: Callable[[Settings], int]) -> Callable[[datetime, Settings], Mapping[str, str]]:
    return lambda since, settings: {name: (since.astimezone(UTC).date() - timedelta(days=days(settings))).isoformat()}


def _stamp(since: datetime, settings: Settings) -> Mapping[str, str]:
    asked = since.astimezone(UTC) - timedelta(minutes=settings.look_back_minutes)
    return {"updated_at_lower_bound": f"{asked:%Y-%m-%dT%H:%M:%SZ}"}


# Only expected payments can be asked for by their change. What may still change of the others lies in a window that is read again.
LISTS = {
    "accounts": ListOf("internal_accounts", {}, lambda _since, _settings: {}),
    "transactions": ListOf("transactions", {"posted": "true"}, _day("as_of_date_start", lambda s: s.transaction_reread_days)),
    "expected_payments": ListOf("expected_payments", {}, _stamp, by_stamp=True),
    "payment_orders": ListOf("payment_orders", {}, _day("created_at_start", lambda s: s.payment_reread_days)),
    "incoming_payments": ListOf("incoming_payment_details", {}, _day("as_of_date_start", lambda s: s.payment_reread_days)),
}


def walk(session: Session, wanted: ListOf, cursor: Cursor | None, settings: Settings, *, now: datetime) -> Iterator[Step]:
    """The pages of a list from the cursor on. Nothing is assumed of their order.

    A walk that was broken off goes on at the list's own cursor; when that is no longer known, also on the way, it begins anew. A walk
    through what no later one reads again looks at the list's front once more before it ends. Raises TransientError when a cursor or a page
    comes a second time.
    """
    held = dict(cursor or {})
    since, began, top = (_moment(held.get(name), now) for name in ("since", "began", "top"))
    after = str(held["after"]) if held.get("after") and began is not None else None
    began = began if after is not None and began is not None else now
    params = {**wanted.always, **(wanted.bound(since, settings) if since is not None else {})}
    seen: set[str] = set() if after is None else {after}
    read: set[str] | None = set() if after is None and _only_now(wanted, since, now, settings) else None
    anew = 0
    for number in range(1, PAGES_MAX):
        try:
            page = session.listing(wanted.path, params, after=after)
        except PermanentError as error:
            if anew == ANEW_MAX or after is None or error.status not in (400, 404, 410, 422):
                raise
            after, began, top, seen, anew = None, now, None, set(), anew + 1
            page = session.listing(wanted.path, params)
        _not_seen(page, seen)
        if read is not None:
            read |= _versions(page)
        top = max([*([top] if top is not None else []), *(min(stamp, now) for stamp in stamps(page.rows))], default=None)
        name = f"{wanted.path.replace('_', ' ')} {number}"
        if page.after is None:
            reached = _reached(since, top, began, settings) if wanted.by_stamp else began
            ending = Step(page, name, None)
            for moved in _moved(session, wanted.path, params, read) if read is not None and number > 1 else ():
                yield ending
                ending = Step(moved, f"{name}, moved", None)
            yield replace(ending, cursor={"since": _iso(reached)}, last=True)
            return
        yield Step(page, name, {"since": _iso(since), "began": _iso(began), "top": _iso(top), "after": page.after})
        after = page.after


def _reached(since: datetime | None, top: datetime | None, began: datetime, settings: Settings) -> datetime | None:
    """The newest stamp met, but no later than the walk began: what changed behind its back while it went on is for the next one, however
    long it took. The look-back is for clocks here, and for late commits when it is asked.
    """
    if top is None:
        return since
    reached = min(top, began - timedelta(minutes=settings.look_back_minutes))
    return reached if since is None else max(reached, since)


def _only_now(wanted: ListOf, since: datetime | None, now: datetime, settings: Settings) -> bool:
    """Whether the walk goes through records that the next one will not ask for: their change has no filter, and they lie before the days
    that are read again.
    """
    again = wanted.by_stamp or not wanted.bound(now, settings)
    return not again and (since is None or now - since > timedelta(days=1))


def _moved(session: Session, path: str, params: Mapping[str, str], read: set[str]) -> Iterator[Listing]:
    """The pages at the list's front that hold what was not read: new, or moved there from a place that the walk had not come to yet."""
    for page in session.pages(path, params):
        unread = _versions(page) - read
        if page.rows.total and not unread:
            return
        if unread:
            read |= unread
            yield page


def _versions(page: Listing) -> set[str]:
    return {f"{row.get('id')} {row.get('updated_at')}" for row in page.rows.sound}


def _not_seen(page: Listing, seen: set[str]) -> None:
    marks = [page.after] if page.after is not None else []
    if page.rows.total:
        marks.append(hashlib.sha256(page.answer.body).hexdigest())
    for mark in marks:
        if mark in seen:
            raise TransientError(f"{page.answer.place}: the same page came twice; the list goes round in circles")
        seen.add(mark)


def _moment(text: Any, now: datetime) -> datetime | None:
    """A stored moment, held to `now`: a wrong clock must not hide what changes from now on."""
    return None if not text else min(datetime.fromisoformat(str(text)), now)


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat()
