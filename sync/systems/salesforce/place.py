"""The cursor of a stream: how far the changes are read, which bulk job is being read, and when deletions and ids were last compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Self

EVER = datetime.min.replace(tzinfo=UTC)


@dataclass(slots=True)
class Job:
    """A bulk job of ours: everything changed before `until` (UTC). `locator` names its next page, `reach` the newest stamp so far."""

    id: str
    until: datetime
    fields: tuple[str, ...]
    locator: str | None = None
    read: int = 0
    polls: int = 0
    reach: datetime | None = None


@dataclass(slots=True)
class Place:
    """Everything changed before `since` is held; an interrupted query has come to the record `last` stamped `reach`. All moments UTC.

    `asked`: before what the query under way was first asked. `rest`: a bulk job failed, page by page instead; `lost`: so many jobs in a row could not be read to their end. `finished`: a job that is read and committed, to be taken away. `deleted`: deletions
    are known up to here. `swept`: when all ids were last compared; `sweep`: the id that a comparison under way has come to.
    """

    since: datetime | None = None
    reach: datetime | None = None
    last: str | None = None
    asked: datetime | None = None
    job: Job | None = None
    rest: bool = False
    lost: int = 0
    finished: str | None = None
    deleted: datetime | None = None
    swept: datetime | None = None
    sweep: str | None = None
    _now: datetime | None = field(default=None, repr=False)

    @classmethod
    def of(cls, cursor: Mapping[str, Any] | None, now: datetime) -> Self:
        """The place of a stored cursor, held to `now`: a wrong clock must not hide what changes from now on."""
        held = cursor or {}
        told = held.get("job")
        job = None
        if isinstance(told, Mapping):
            job = Job(
                id=str(told["id"]),
                until=_held_to(told["until"], now) or now,
                fields=tuple(told["fields"]),
                locator=told.get("locator"),
                read=int(told.get("read", 0)),
                polls=int(told.get("polls", 0)),
                reach=_held_to(told.get("reach"), now),
            )
        return cls(
            since=_held_to(held.get("since"), now),
            reach=_held_to(held.get("reach"), now),
            last=held.get("last"),
            asked=_held_to(held.get("asked"), now),
            job=job,
            rest=bool(held.get("rest")),
            lost=int(held.get("lost", 0)),
            finished=held.get("finished"),
            deleted=_held_to(held.get("deleted"), now),
            swept=_held_to(held.get("swept"), now),
            sweep=held.get("sweep"),
            _now=now,
        )

    def start(self, look_back: timedelta) -> tuple[datetime | None, str | None]:
        """Where to ask from: a moment, and the id after which records of that very moment are still missing.

        An interrupted query goes on exactly where it was. A new one looks back, since late commits appear behind what was read.
        """
        if self.reach is not None and self.last is not None:
            return self.reach, self.last
        come_to = self.reach or self.since
        return (None if come_to is None else come_to - look_back), None

    def advance(self, stamp: datetime | None, last: str | None) -> None:
        """A page up to `stamp` has been read, whose last record is `last`; never backwards, never beyond now."""
        if stamp is None:
            return
        held = stamp if self._now is None else min(stamp, self._now)
        come_to = self.reach or self.since
        if come_to is None or held >= come_to:
            self.reach, self.last = held, last if held == stamp else None

    def done(self, until: datetime) -> Self:
        """Everything changed before `until` has been read. A query that was taken up again long after it was begun has passed over what
        was committed late behind it: the next one looks back from where it was begun.
        """
        come_to = self.reach or self.since
        return replace(
            self,
            since=come_to if come_to is None or self.asked is None else max(min(come_to, self.asked), self.since or EVER),
            reach=None,
            last=None,
            asked=None,
            rest=False,
            lost=0,
            deleted=self.deleted or until,
            swept=self.swept or until,
        )

    def back(self) -> Self:
        """Where this pull began, because something on the way is missing."""
        return replace(self, reach=None, last=None, asked=None, job=None)

    def cursor(self) -> dict[str, Any]:
        """As it is stored."""
        stored: dict[str, Any] = {
            "since": _iso(self.since),
            "reach": _iso(self.reach),
            "last": self.last,
            "asked": _iso(self.asked),
            "rest": self.rest or None,
            "lost": self.lost or None,
            "finished": self.finished,
            "deleted": _iso(self.deleted),
            "swept": _iso(self.swept),
            "sweep": self.sweep,
        }
        if self.job is not None:
            job = self.job
            stored["job"] = {
                "id": job.id,
                "until": _iso(job.until),
                "fields": list(job.fields),
                "locator": job.locator,
                "read": job.read,
                "polls": job.polls,
                "reach": _iso(job.reach),
            }
        return {name: value for name, value in stored.items() if value is not None or name == "since"}


def _held_to(text: Any, now: datetime) -> datetime | None:
    return None if not text else min(datetime.fromisoformat(str(text)), now)


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat()
