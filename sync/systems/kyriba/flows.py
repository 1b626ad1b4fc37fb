"""Treasury's cash flows by their update stamp, oldest first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from sync.errors import SourceError, TransientError
from sync.http import Answer
from sync.ports import Cursor, Page
from sync.systems.kyriba import rsql
from sync.systems.kyriba.answers import Listing
from sync.systems.kyriba.listings import Circle, Listings, page_of
from sync.systems.kyriba.wire import stamps
from sync.watermark import Mark

PAGES_MAX = 100_000
PATH = "v1/cash-flows"


@dataclass(frozen=True, slots=True)
class Place:
    """Where the reading stands: the filter's moment (None: everything) and how many records of that filter lie behind."""

    at: datetime | None
    offset: int = 0


@dataclass(frozen=True, slots=True)
class _Moved:
    """A filter that was moved on: the place that offsets alone would have come to, and how many records the new filter must hold."""

    instead: Place
    expected: int | None


class Reading:
    """One pull. Offsets shift when a record changes while we read, so after each page the filter itself moves on to the last stamp;
    offsets are used only among records of one stamp, and where the tenant does not sort.

    Whether it sorts is seen once, when the filter first moves: a filter that leaves out more than was read would lose records, and is
    taken back. The page before that is given on only then, for its cursor stands or falls with it.
    """

    def __init__(self, tenant: Listings, cursor: Cursor | None, now: datetime) -> None:
        self._tenant = tenant
        self._now = now
        self._mark = Mark.of(cursor, now)
        self._place = Place(self._mark.start(timedelta(minutes=tenant.settings.look_back_minutes)))
        self._circle = Circle(tenant.connection.name)
        self._sorts: bool | None = None
        self._moved: _Moved | None = None
        self._newest: datetime | None = None

    def pages(self) -> Iterator[Page]:
        """Every page to the end."""
        page = page_of(self._tenant.companies(), self._now)
        held: tuple[Answer, str, Cursor] | None = None
        for number in range(1, PAGES_MAX):
            try:
                answer, part = self._next()
            except SourceError:
                if held is not None:
                    yield page(held[0], held[1], None)
                raise
            if held is not None:
                yield page(held[0], held[1], held[2] if self._sorts else None)
                held = None
            name = f"cash flows {number}"
            found = stamps(part.rows)
            self._newest = max([*found, *([] if self._newest is None else [self._newest])], default=None)
            self._place = Place(self._place.at, self._place.offset + part.step)
            if self._tenant.is_last(answer, part, self._place.offset):
                self._mark.advance(self._newest, self._now)
                yield page(answer, name, self._mark.cursor(done=True), complete_until=self._now)
                return
            if found != sorted(found):
                self._sorts = False
            elif found and self._sorts is not False:
                self._move_on(found, part)
            cursor = None if self._sorts is False else self._mark.cursor()
            if self._moved is not None and cursor is not None:
                held = (answer, name, cursor)
            else:
                yield page(answer, name, cursor)
        raise TransientError(f"{PATH}: more than {PAGES_MAX} pages", connection=self._tenant.connection.name)

    def _next(self) -> tuple[Answer, Listing]:
        """The next page, after a filter that moved too far has been taken back."""
        answer, part = self._ask()
        if self._moved is not None:
            moved, self._moved = self._moved, None
            if moved.expected is not None and part.total is not None and part.total < moved.expected:
                self._sorts, self._place = False, moved.instead
                self._mark = Mark(self._mark.since)
                answer, part = self._ask()
            else:
                self._sorts = True
        self._circle.pass_by(answer)
        return answer, part

    def _ask(self) -> tuple[Answer, Listing]:
        return self._tenant.session.listing(PATH, asked_from(self._tenant, self._place.at), offset=self._place.offset)

    def _move_on(self, found: list[datetime], part: Listing) -> None:
        """Moves the filter to the last stamp of a sorted page, in whole seconds, for it knows no parts of them."""
        self._mark.advance(found[-1], self._now)
        second, here = found[-1].replace(microsecond=0), self._place
        if here.at is not None and second <= here.at:
            return
        if self._sorts is None:
            behind = here.offset - sum(1 for stamp in found if stamp >= second)
            self._moved = _Moved(here, None if part.total is None else part.total - behind)
        self._place = Place(second)
        self._circle.forget()  # a filter that leaves out nothing brings the same page once more, and that is no circle


def pull(tenant: Listings, cursor: Cursor | None, now: datetime) -> Iterator[Page]:
    """Everything updated since the cursor, or from the beginning; see Reading."""
    return Reading(tenant, cursor, now).pages()


def asked_from(tenant: Listings, at: datetime | None) -> dict[str, str]:
    """The question for what was updated from `at` on; None: for everything."""
    changed = "" if at is None else rsql.since("updateDateTime", at)
    question = rsql.every(tenant.settings.cash_flow_filter, changed)
    return {"dateType": "UPDATE", "sort": "updateDateTime", **({"filter": question} if question else {})}
