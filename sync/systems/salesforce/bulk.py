"""Reading much at once: a Bulk API 2.0 query job, asked for, waited for, read page by page and taken away, by whatever process."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from urllib.parse import quote

import msgspec
import structlog

from sync.errors import DataError, PermanentError, SourceError
from sync.http import Answer
from sync.ports import Page, Pending
from sync.systems.salesforce.pages import Asking
from sync.systems.salesforce.place import Job, Place
from sync.systems.salesforce.sheet import read_csv
from sync.systems.salesforce.wire import SHAPE_HEADER, STAMP, moment_of, soql

POLL_SECONDS = 2.0
POLL_SECONDS_MAX = 60.0
POLLS_MAX = 3_000
"""At a minute each: two days. A job that is not done by then is given up."""

LOST_MAX = 3
"""So many jobs in a row that can't be read to their end are asked for; then pages have to do."""

_WAITING = ("Open", "UploadComplete", "InProgress", "Queued")
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Job:
    """A job of ours at the org."""

    state: str
    processed: int | None
    words: str


def begin(asking: Asking, place: Place) -> Pending | None:
    """Asks for a job over everything changed since `place`; None when the org takes no such job, and pages have to do."""
    since, _ = place.start(asking.look_back)
    query = soql(
        asking.reading, asking.chosen.fields, since, until=asking.bound, ordered=False
    )  # an order would forbid the org to split the work
    asked = {"operation": "queryAll", "query": query, "contentType": "CSV", "columnDelimiter": "COMMA", "lineEnding": "LF"}
    try:
        said = asking.session.post(f"{asking.settings.data}/jobs/query", msgspec.json.encode(asked)).json()
    except PermanentError as error:
        _log.info("no bulk job", connection=asking.connection.name, stream=asking.reading.stream, why=error.detail)
        return None
    job_id = said.get("id") if isinstance(said, dict) else None
    if not isinstance(job_id, str) or not job_id.isalnum():
        raise asking.broken("jobs/query: the answer names no job")
    job = Job(job_id, asking.until, asking.chosen.fields)
    return _wait(replace(place, asked=None, job=job), f"bulk job {job_id} reads {asking.reading.object}")


def take_up(asking: Asking, place: Place) -> Iterator[Page | Pending]:
    """Goes on with the job of `place`: waits, or reads its pages from its locator on. Ends with Pending: what changed meanwhile follows."""
    job = place.job
    assert job is not None  # noqa: S101 - the caller looked
    told = _look(asking, job)
    if told is None:
        yield _lost(place, f"bulk job {job.id} is gone")
        return
    if told.state in _WAITING and job.polls < POLLS_MAX:
        yield _wait(place, f"bulk job {job.id} reads {asking.reading.object}: {told.state}")
        return
    if told.state != "JobComplete":
        discard(asking, job.id)
        words = f"bulk job {job.id} ended as {told.state} ({told.words}): read page by page instead"
        _log.warning("bulk job failed", connection=asking.connection.name, stream=asking.reading.stream, words=words)
        yield _anew(replace(place, rest=True), words)
        return
    yield from _results(asking, place, job, told)


def discard(asking: Asking, job_id: str) -> None:
    """Takes a job away; one that is gone or still runs is left to the org, which keeps jobs for seven days."""
    try:
        asking.session.delete(f"{_path(asking, job_id)}", accept=(400, 404, 409))
    except SourceError as error:
        _log.info("a bulk job was left behind", connection=asking.connection.name, job=job_id, why=error.detail)


def _results(asking: Asking, place: Place, job: Job, told: _Job) -> Iterator[Page | Pending]:
    seen: set[str] = set()
    number = 0
    while True:
        answer = _page(asking, job)
        if answer.status == 412:  # not ready after all, as old releases say
            yield _wait(replace(place, job=job), f"bulk job {job.id}: its result is not ready")
            return
        if answer.status >= 300:  # another API version's job, or gone
            discard(asking, job.id)
            yield _lost(place, f"bulk job {job.id} can't be read any more ({answer.status})")
            return
        number += 1
        rows, newest = _counted(asking, answer)
        locator = answer.headers.get("sforce-locator", "").strip()
        reach = max((stamp for stamp in (job.reach, newest) if stamp is not None), default=None)
        job = replace(job, locator=locator, read=job.read + rows, reach=reach, polls=0)
        name = f"{asking.reading.object} bulk {job.id} {number}"
        extra = {SHAPE_HEADER: "csv"}
        if locator in ("", "null"):
            break
        if locator in seen:
            raise asking.broken(f"{name}: its next page was read before; the job goes round in circles")
        seen.add(locator)
        yield asking.page(answer, name, replace(place, job=job), extra=extra, fields=job.fields)
    if told.processed is not None and job.read < told.processed:
        yield asking.page(answer, name, place.back(), extra=extra, fields=job.fields)
        raise asking.broken(f"{name}: {job.read} of {told.processed} records came")
    done = _read(place, job)
    yield asking.page(answer, name, done, extra=extra, fields=job.fields)
    yield Pending(done.cursor(), 0.0, f"bulk job {job.id} is read: what changed meanwhile follows")


def _read(place: Place, job: Job) -> Place:
    """The place after a job: everything that it saw is held, and it may be taken away once that is committed."""
    after = replace(place, job=None, asked=None, finished=job.id)
    after.advance(min(job.reach, job.until) if job.reach is not None else None, None)
    return after.done(job.until)


def _look(asking: Asking, job: Job) -> _Job | None:
    answer = asking.session.get(_path(asking, job.id), accept=(404,))
    if answer.status == 404:
        return None
    said = answer.json()
    if not isinstance(said, dict) or not isinstance(said.get("state"), str):
        raise asking.broken(f"bulk job {job.id}: the answer names no state")
    words = said.get("errorMessage")
    return _Job(said["state"], _whole(said.get("numberRecordsProcessed")), str(words)[:300] if words else "without a reason")


def _page(asking: Asking, job: Job) -> Answer:
    params = {"maxRecords": str(asking.settings.bulk_page)}
    if job.locator:
        params["locator"] = job.locator
    headers = {"Accept": "text/csv"}
    return asking.session.get(f"{_path(asking, job.id)}/results", params=params, headers=headers, accept=(404, 409, 412), expect="any")


def _counted(asking: Asking, answer: Answer) -> tuple[int, datetime | None]:
    """How many records the page holds, and their newest stamp. An outage when it is no such page, or not all of it came."""
    try:
        read = read_csv(answer.body)
    except DataError as error:
        raise asking.broken(f"{answer.place}: {error.detail}") from error
    told = _whole(answer.headers.get("sforce-numberofrecords"))
    if told is not None and told != read.total:
        raise asking.broken(f"{answer.place}: {read.total} of {told} records came")
    if not answer.framed and answer.body and not answer.body.endswith(b"\n"):
        raise asking.broken(f"{answer.place}: the page was cut before its end")
    if STAMP not in read.texts.columns:
        return read.total, None
    newest = [moment_of(text) for text in read.texts[STAMP].drop_nulls().unique().to_list()]
    return read.total, max((stamp for stamp in newest if stamp is not None), default=None)


def _wait(place: Place, words: str) -> Pending:
    job = place.job
    assert job is not None  # noqa: S101 - only ever called with one
    seconds = min(POLL_SECONDS * 1.5**job.polls, POLL_SECONDS_MAX) if job.polls < 20 else POLL_SECONDS_MAX
    return Pending(replace(place, job=replace(job, polls=job.polls + 1)).cursor(), seconds, words)


def _lost(place: Place, words: str) -> Pending:
    lost = place.lost + 1
    given_up = lost >= LOST_MAX
    return _anew(replace(place, lost=lost, rest=given_up), f"{words}: {'read page by page instead' if given_up else 'asked anew'}")


def _anew(place: Place, words: str) -> Pending:
    return Pending(place.back().cursor(), POLL_SECONDS, words)


def _path(asking: Asking, job_id: str) -> str:
    return f"{asking.settings.data}/jobs/query/{quote(job_id, safe='')}"


def _whole(value: Any) -> int | None:
    """A count, as a number or as a text; None when it is none."""
    text = str(value).strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None
