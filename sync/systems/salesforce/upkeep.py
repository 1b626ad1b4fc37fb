"""What stamps don't tell: deletions by the org's own list, and from time to time all ids compared and all formulas read again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import msgspec
import structlog

from sync.errors import PermanentError
from sync.http import Answer
from sync.ports import Page
from sync.strict_json import NotStrict, loads
from sync.systems.salesforce.pages import Asking
from sync.systems.salesforce.place import Place
from sync.systems.salesforce.wire import RANGE_HEADER, SHAPE_HEADER, moment_of, soql_by_id

KEPT = timedelta(days=15) - timedelta(hours=1)
"""How far back the org lists deletions, less an hour for clocks."""

OVERLAP = timedelta(minutes=5)
SHORTEST = timedelta(minutes=2)
SWEEP_PAGES = 25
"""So many pages of ids a pull reads; the next one goes on from there."""

_log = structlog.get_logger(__name__)


def deletions(asking: Asking, place: Place) -> Iterator[tuple[Page, Place]]:
    """The list of deleted ids since it was last read, if its time has come. Where the list may have gaps, all ids are compared soon."""
    every = asking.settings.deleted_minutes
    if not every or place.deleted is None or asking.until - place.deleted < timedelta(minutes=every):
        return
    start = place.deleted - OVERLAP
    gap = start < asking.until - KEPT
    start = max(start, asking.until - KEPT)
    end = asking.until
    while end - start >= SHORTEST:
        try:
            answer = _deleted(asking, start, end)
        except PermanentError as error:
            if error.code == "EXCEEDED_ID_LIMIT":
                end = start + (end - start) / 2
                continue
            _log.info("no list of deletions", connection=asking.connection.name, stream=asking.reading.stream, why=error.detail)
            break
        earliest, covered = _span(asking, answer)
        gap = gap or (earliest is not None and earliest > start)  # the org has forgotten what it deleted before
        place = replace(place, deleted=min(covered or end, end), swept=None if gap else place.swept)
        yield asking.page(answer, f"{asking.reading.object} deleted", place, extra={SHAPE_HEADER: "deleted"}), place
        if place.deleted is None or place.deleted <= start or end == asking.until:
            return
        start, end, gap = place.deleted, asking.until, False
    # no list, or too long a one: the comparison of all ids finds them
    yield from _sweep(asking, replace(place, deleted=asking.until), force=True)


def sweep(asking: Asking, place: Place) -> Iterator[tuple[Page, Place]]:
    """Pages of all live ids in their order, if their time has come: what is held and not among them is gone. With formulas, all fields."""
    yield from _sweep(asking, place, force=False)


def _sweep(asking: Asking, place: Place, *, force: bool) -> Iterator[tuple[Page, Place]]:
    hours = asking.settings.sweep_hours
    due = place.swept is None or (bool(hours) and asking.until - place.swept >= timedelta(hours=hours or 0))
    if not hours or not (force or due or place.sweep is not None):
        return
    fields = asking.chosen.fields  # neither a formula nor a record that we were shown only now has a new stamp
    limit = asking.settings.page_size
    for _ in range(SWEEP_PAGES):
        after = place.sweep
        answer = asking.ask(soql_by_id(asking.reading, fields, after, limit), everything=False)
        split = asking.taken_apart(answer)
        ids = _ids(split.records)
        last = split.beside.get("done") is True and len(ids) < limit
        if not _ascending(after, ids) or (not ids and (after is None or not last)):
            # not in the order of their bytes, or none at all: nothing is concluded from that
            _log.warning("ids can't be compared", connection=asking.connection.name, stream=asking.reading.stream)
            place = replace(place, sweep=None, swept=asking.until)
            yield asking.page(answer, f"{asking.reading.object} ids", place, extra={SHAPE_HEADER: "ids"}, fields=fields), place
            return
        upto = "" if last else ids[-1]
        place = replace(place, sweep=None, swept=asking.until) if last else replace(place, sweep=ids[-1])
        extra = {SHAPE_HEADER: "ids", RANGE_HEADER: f"{after or ''}..{upto}"}
        yield asking.page(answer, f"{asking.reading.object} ids after {after or 'the beginning'}", place, extra=extra, fields=fields), place
        if last:
            return


def _deleted(asking: Asking, start: datetime, end: datetime) -> Answer:
    span = {"start": f"{start.astimezone(UTC):%Y-%m-%dT%H:%M:%S+00:00}", "end": f"{end.astimezone(UTC):%Y-%m-%dT%H:%M:%S+00:00}"}
    return asking.session.get(f"{asking.settings.data}/sobjects/{asking.reading.object}/deleted/", params=span)


def _span(asking: Asking, answer: Answer) -> tuple[datetime | None, datetime | None]:
    """From when on the org still knows its deletions, and up to when this list has them."""
    try:
        said = loads(answer.body)
    except NotStrict as error:
        raise asking.broken(f"{answer.place}: the answer is {error}") from error
    if not isinstance(said, dict) or not isinstance(said.get("deletedRecords"), list):
        raise asking.broken(f"{answer.place}: the answer lists no deletedRecords")
    return moment_of(said.get("earliestDateAvailable")), moment_of(said.get("latestDateCovered"))


def _ids(records: Sequence[msgspec.Raw | bytes]) -> list[str]:
    """The ids of a page's records; [] when one of them has none that could stand in a query."""
    try:
        ids = [msgspec.json.decode(bytes(record), type=dict[str, object]).get("Id") for record in records]
    except (msgspec.DecodeError, UnicodeDecodeError):
        return []
    good = [each for each in ids if isinstance(each, str) and each.isascii() and each.isalnum()]
    return good if len(good) == len(ids) else []


def _ascending(after: str | None, ids: Sequence[str]) -> bool:
    chain = [after or "", *ids]
    return all(one < other for one, other in pairwise(chain))
