"""One pull of a declared list, page after page: where it is asked from, when it ends, and the cursor that is true after each page."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from sync.connections import Connection
from sync.errors import DataError, PermanentError, SourceError, TransientError
from sync.http import Answer
from sync.ports import Cursor
from sync.systems.rest import paging
from sync.systems.rest.asking import Param, again, question
from sync.systems.rest.client import Session
from sync.systems.rest.declaration import Incremental, RestStream
from sync.systems.rest.finding import listed
from sync.systems.rest.mapping import Read, read, stamps
from sync.systems.rest.paging import Place
from sync.systems.rest.pagings import Paging
from sync.systems.rest.shown import lists
from sync.systems.rest.values import asked
from sync.watermark import Mark

PAGES_MAX = 100_000
_UNITS = {"date": timedelta(days=1), "epoch_ms": timedelta(milliseconds=1)}
_ERRORS = ("error.message", "error_description", "error", "errors", "Fault.Error[0].Detail", "Fault.Error[0].Message", "fault.faultstring")


@dataclass(frozen=True, slots=True)
class Got:
    """A page as it came; `following` is where the next one is, `last` says that the pull has come to its end."""

    answer: Answer
    given: Read
    following: Place | None
    cursor: Cursor
    last: bool

    @property
    def body(self) -> bytes:
        """What is believed of the answer: nothing, where its status says that there is nothing."""
        return self.answer.body if self.answer.status < 300 else b""


@dataclass
class Reading:
    """One pull on its way. `whole`: everything is asked for, not only what changed since the cursor."""

    connection: Connection
    session: Session
    stream: RestStream
    mark: Mark
    now: datetime
    whole: bool
    start: datetime | None = None
    """From when on is asked; None: from the beginning."""
    until: datetime | None = None
    base: Cursor | None = None
    """With windows, the cursor after the last one that was read to its end."""
    seen: set[Any] = field(default_factory=set)

    def __post_init__(self) -> None:
        incremental = self.stream.incremental
        if incremental is None:
            return
        self.start = None if self.whole else self.mark.start(timedelta(minutes=incremental.look_back_minutes))
        if incremental.window_days is not None:
            self.start = self.start or _first_day(incremental)
        self.until = self._window_end()

    def latest(self) -> Got:
        """A first page as it is asked for lately, for who wants to see one."""
        incremental = self.stream.incremental
        if incremental is not None and incremental.window_days is not None:
            self.start = self.now - timedelta(days=incremental.window_days)
            self.until = self.now
        return self.page(paging.first(self.stream))

    def pages(self) -> Iterator[Got]:
        """All pages, to the end."""
        place = paging.first(self.stream)
        for _ in range(PAGES_MAX):
            got = self.page(place)
            yield got
            if got.last:
                return
            place = got.following or paging.first(self.stream)

    def page(self, place: Place) -> Got:
        """The page at `place`. Raises sync.errors when it can't be had, can't be read, or was there before."""
        answer, given = self._read(place)
        following = self._following(place, answer, given)
        oldest, newest = stamps(given, self.stream, self.connection.zone)
        if newest is not None:
            self.mark.advance(newest if self.until is None else min(newest, self.until), self.now)
        incremental = self.stream.incremental
        if incremental is not None and incremental.newest_first and self._is_known(oldest):
            following = None
        following = self._continued(following)
        last = following is None and (self.until is None or self.until >= self.now)
        if following is None and self.until is not None and not last:
            self._next_window(self.until)
        return Got(answer, given, following, self._cursor(last=last), last)

    def _cursor(self, *, last: bool) -> Cursor:
        """The place to go on from: on the way only where the list is ordered, or from one window to the next."""
        if last:
            return self.mark.cursor(done=True)
        if self.stream.incremental is not None and self.stream.incremental.ordered:
            return self.mark.cursor()
        return self.mark.back() if self.base is None else self.base

    def _is_known(self, oldest: datetime | None) -> bool:
        """Whether a list that comes newest first has come to what is held already."""
        return not self.whole and oldest is not None and self.start is not None and oldest < self.start

    def _window_end(self) -> datetime:
        """Up to when is asked: now, or as far as the window goes."""
        days = self.stream.incremental.window_days if self.stream.incremental is not None else None
        return self.now if days is None or self.start is None else min(self.now, self.start + timedelta(days=days))

    def _next_window(self, ended: datetime) -> None:
        """A window is read; the next one begins where it ended."""
        self.mark.advance(ended, self.now)
        self.base = self.mark.cursor()
        self.start = ended
        self.until = self._window_end()

    def _continued(self, following: Place | None) -> Place | None:
        """The next page; where the application shows no more of one question, the first of a question from the newest moment on."""
        style = self.stream.paging
        if following is None or not isinstance(style, Paging) or style.most is None or following.read + style.size <= style.most:
            return following
        come_to = self.mark.reach or self.mark.since
        if come_to is None or (self.start is not None and come_to <= self.start):
            raise self._error(f"more than {style.most} records (paging.most) changed at {come_to}: the application shows no more of them")
        self.start, self.whole = come_to, False
        return paging.first(self.stream)

    def _values(self, place: Place) -> dict[str, Param]:
        """What the page and the moment say, by role."""
        incremental = self.stream.incremental
        found: dict[str, Param] = dict(place.values)
        if incremental is None:
            return found
        since = incremental.initial if self.start is None else self._told(incremental, self.start, exclusive=incremental.exclusive)
        if since is not None:
            found["since"] = _in_words(since, incremental)
        if self.until is not None:
            found["until"] = _in_words(self._told(incremental, self.until), incremental)
        return found

    def _told(self, incremental: Incremental, moment: datetime, *, exclusive: bool = False) -> str:
        """A moment as the application wants it."""
        moment -= _UNITS.get(incremental.format, timedelta(seconds=1)) if exclusive else timedelta()
        if incremental.zone is not None:
            return asked(moment, incremental.format, incremental.zone)
        column = self.stream.columns.get(incremental.column)
        zone = (column.zone if column is not None else None) or self.connection.zone
        if incremental.format == "date":  # whichever of the two clocks it means
            return min(asked(moment, "date"), asked(moment, "date", zone))
        named = "%z" in incremental.format or "Z" in incremental.format
        return asked(moment, incremental.format, None if named else zone)

    def _read(self, place: Place) -> tuple[Answer, Read]:
        asked_for = (place.mark, self.start, self.until)
        if asked_for in self.seen:
            raise self._circle()
        self.seen.add(asked_for)
        values = self._values(place)
        wanted = (
            again(self.stream, place.url, values, self.session.secret)
            if place.url is not None
            else question(self.stream, values, self.session.secret, place.path)
        )
        answer = self.session.read(wanted, self.stream.empty_status)
        if answer.status >= 300:
            return answer, read(b"", self.stream, self.connection.zone)
        if not answer.body.strip() and answer.status != 204:
            raise self._error("the answer is empty", answer)
        try:
            given = read(answer.body, self.stream, self.connection.zone)
        except DataError as error:
            raise self._without_records(answer, error) from error
        if not given.outer.total and self.stream.absent_is_empty and (said := self._error_in(answer)):
            raise PermanentError(f"{answer.place}: answered {answer.status} with an error: {said}", connection=self.connection.name)
        digest = (hashlib.sha256(answer.body).digest(), self.start)
        if given.outer.total and digest in self.seen:
            raise self._circle()
        self.seen.add(digest)
        return answer, given

    def _without_records(self, answer: Answer, error: DataError) -> SourceError:
        """What is wrong with an answer that does not hold its records: what it says itself, else where they were looked for."""
        if said := self._error_in(answer):
            words = f"{answer.place}: answered {answer.status} with an error: {said}"
            kind = PermanentError if self.session.error_path else TransientError
            return kind(words, connection=self.connection.name)
        found = "; ".join(lists(answer.body))
        held = f". It holds: {self.session.blotted(found)[:400]}" if found else ""
        lacking = " (write absent_is_empty = true, if this is how it says that there are none)" if self._lacks_only(answer) else ""
        return self._error(f"{error.detail}; records = {self.stream.records!r} says where they stand{lacking}{held}", answer)

    def _lacks_only(self, answer: Answer) -> bool:
        """Whether the answer is sound, and the place of its records empty or not there."""
        with suppress(DataError):
            listed(answer.body, self.stream.way, lacking=True, single=self.stream.single, root=False)
            return True
        return False

    def _error_in(self, answer: Answer) -> str:
        return self.session.words(answer, _ERRORS)

    def _following(self, place: Place, answer: Answer, given: Read) -> Place | None:
        if answer.status >= 300:
            return None
        try:
            found = paging.following(self.stream, place, answer.body, answer.headers, given)
            if found is None or found.url is None:
                return found
            return replace(found, url=self.session.next_to(place.url or self.stream.path, found.url))
        except SourceError as error:
            raise self._error(error.detail, answer) from error

    def _circle(self) -> TransientError:
        return self._error(
            "a page came that was read before: the list goes round in circles, or its end is told by something else than the declared paging says"
        )

    def _error(self, words: str, answer: Answer | None = None) -> TransientError:
        place = answer.place if answer is not None else self.stream.stream
        return TransientError(f"{place}: {words}", connection=self.connection.name)


def _in_words(value: str, incremental: Incremental) -> Param:
    """The moment in the application's own words; one that is a number as a number."""
    if incremental.format in ("epoch", "epoch_ms") and incremental.template == "{value}" and value.isdigit():
        return int(value)
    return incremental.template.replace("{value}", value)


def _first_day(incremental: Incremental) -> datetime:
    return datetime.combine(date.fromisoformat(incremental.initial or ""), time(), UTC)
