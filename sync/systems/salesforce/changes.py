"""What has changed, page by page: SOQL by SystemModstamp with a look-back, over a session that may end between pages."""

from __future__ import annotations

from collections.abc import Iterator

from sync.errors import AuthError, PermanentError, TransientError
from sync.http import Answer
from sync.ports import Page
from sync.systems.salesforce.answers import SessionExpired
from sync.systems.salesforce.pages import Asking, last_of
from sync.systems.salesforce.place import Place
from sync.systems.salesforce.wire import newest_stamp, soql
from sync.wire_frames import Split

STANDSTILLS_MAX = 4
"""So often in a row a query is asked anew without having come further."""

PAGES_MAX = 100_000
_TOO_SLOW = ("QUERY_TIMEOUT", "OPERATION_TOO_LARGE")


class TooMany(Exception):
    """There is so much to read that a bulk job is the better way. Nothing of it has been given out."""


def changes(asking: Asking, place: Place) -> Iterator[Page]:
    """Pages of everything changed since `place`, which moves along. Raises TooMany before the first page, where a job is allowed.

    When the session ends between two pages the query is asked anew from where it had come to: its locator died with the session.
    """
    standstills = 0
    while standstills < STANDSTILLS_MAX:
        before = place.reach, place.last
        try:
            yield from _query(asking, place)
            return
        except SessionExpired:
            pass  # the session has fetched its new token already
        except PermanentError as error:
            if error.code != "INVALID_QUERY_LOCATOR":
                raise
            # a locator lives two days, and no longer than the org keeps it
        standstills = standstills + 1 if (place.reach, place.last) == before else 0
    raise AuthError(
        f"{asking.reading.stream}: {STANDSTILLS_MAX} sessions ended before the query came any further: look at the org's session settings",
        connection=asking.connection.name,
    )


def _query(asking: Asking, place: Place) -> Iterator[Page]:
    answer = _first(asking, place)
    seen: set[str] = set()
    received = 0
    for number in range(1, PAGES_MAX):
        page = asking.taken_apart(answer)
        name = f"{asking.reading.object} {number}"
        received += len(page.records)
        total, done = page.beside.get("totalSize"), page.beside.get("done") is True
        if number == 1 and not done and _bulky(asking, place, total):
            raise TooMany
        _advance(place, page, answer)
        if done:
            if isinstance(total, int) and received < total:
                # what is missing may lie anywhere: what came is kept, and the next pull begins again where this one did
                yield asking.page(answer, name, place.back())
                raise asking.broken(f"{name}: {received} of {total} records came")
            yield asking.page(answer, name, place.done(asking.until), complete_until=asking.until)
            return
        link = page.beside.get("nextRecordsUrl")
        if not isinstance(link, str) or not link:
            raise asking.broken(f"{name}: not done, and no next page is named")
        if link in seen:
            raise asking.broken(f"{name}: its next page was read before; the query goes round in circles")
        seen.add(link)
        yield asking.page(answer, name, place)
        answer = asking.session.get(link, renew=False)
    raise TransientError(f"{asking.reading.stream}: more than {PAGES_MAX} pages", connection=asking.connection.name)


def _first(asking: Asking, place: Place) -> Answer:
    since, after = place.start(asking.look_back)
    place.asked = place.asked or asking.until
    try:
        return asking.ask(soql(asking.reading, asking.chosen.fields, since, after=after, until=asking.bound))
    except TransientError as error:
        if error.code in _TOO_SLOW and _may_be_bulk(asking, place):
            raise TooMany from None
        raise


def _bulky(asking: Asking, place: Place, total: object) -> bool:
    limit = asking.settings.bulk_from
    return _may_be_bulk(asking, place) and isinstance(total, int) and total >= (limit or 0)


def _may_be_bulk(asking: Asking, place: Place) -> bool:
    """Not in the middle of a query, and not after a job that failed."""
    return bool(asking.settings.bulk_from) and not place.rest and place.reach is None


def _advance(place: Place, page: Split, answer: Answer) -> None:
    newest, last = newest_stamp(answer.body), last_of(page)
    # only where the last record is the newest one does its id say where to go on
    place.advance(newest, last[1] if last is not None and last[0] == newest else None)
