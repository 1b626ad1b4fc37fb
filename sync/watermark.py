"""The cursor of a stream that is read by its records' change stamps, oldest first, with a look-back for late commits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Self


@dataclass(slots=True)
class Mark:
    """Everything changed before `since` is held; an interrupted pull has come up to `reach` on its way from there. UTC."""

    since: datetime | None = None
    reach: datetime | None = None

    @classmethod
    def of(cls, cursor: Mapping[str, Any] | None, now: datetime) -> Self:
        """The mark of a stored cursor, held to `now`: a wrong clock must not hide what changes from now on."""
        held = cursor or {}
        return cls(*(_held_to(held.get(name), now) for name in ("since", "reach")))

    def start(self, look_back: timedelta) -> datetime | None:
        """Where to ask from: late commits appear behind what was already read. None: from the beginning."""
        come_to = self.reach or self.since
        return None if come_to is None else come_to - look_back

    def advance(self, stamp: datetime | None, now: datetime) -> None:
        """Everything up to `stamp` has been read; never backwards, never beyond `now`."""
        if stamp is not None:
            come_to = self.reach or self.since
            held = min(stamp, now)
            self.reach = held if come_to is None else max(held, come_to)

    def cursor(self, *, done: bool = False) -> dict[str, str | None]:
        """As it is stored: `done` once everything was read, otherwise a place on the way."""
        if done:
            return {"since": _iso(self.reach or self.since)}
        return {"since": _iso(self.since), "reach": _iso(self.reach)}

    def back(self) -> dict[str, str | None]:
        """The cursor that begins again where this pull began, because something on the way is missing."""
        return {"since": _iso(self.since)}


def _held_to(text: Any, now: datetime) -> datetime | None:
    return None if not text else min(datetime.fromisoformat(str(text)), now)


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat()
