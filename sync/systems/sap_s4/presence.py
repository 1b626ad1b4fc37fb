"""What a listing of everything says of what it does not name: a page of ours with the keys that there are, and its meaning."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec

from sync.errors import DataError
from sync.ports import Complete, Mapped, Page, no_rejects

_BEGINS = b'{"present":'


class Present(msgspec.Struct, frozen=True, omit_defaults=True):
    """The keys of an entity that there were when the host was asked (`asked_at`, UTC, ISO 8601), within the bounds of sync.ports.Complete."""

    entity: str
    asked_at: str
    keys: tuple[str, ...] = ()
    after: str | None = None
    upto: str | None = None
    among: tuple[str, ...] | None = None
    only: dict[str, tuple[str, ...]] = {}
    since: str | None = None


class _Body(msgspec.Struct, frozen=True):
    present: tuple[Present, ...]


@dataclass
class Named:
    """The keys of `entity` that mapped pages name, of sound records and of rejects. `sure`: none of their records had a key that can't be read."""

    entity: str
    keys: set[str] = field(default_factory=set)
    sure: bool = True

    def add(self, mapped: Mapped) -> None:
        """Takes a page's keys in."""
        refused = mapped.rejects["source_key"]
        self.sure = self.sure and refused.null_count() == 0
        self.keys.update(refused.drop_nulls().to_list())
        self.keys.update(mapped.frames[self.entity]["source_key"].to_list())

    def digest(self) -> str:
        """What tells these keys from others."""
        return hashlib.sha256("\n".join((str(self.sure), *sorted(self.keys))).encode()).hexdigest()[:16]

    def words(self, now: datetime, **bounds: Any) -> list[Present]:
        """That there are these and no others; nothing where that is not sure. `bounds`: as `present`."""
        return [present(self.entity, self.keys, now, **bounds)] if self.sure else []


def present(
    entity: str, keys: Collection[str], now: datetime, *, after: str | None = None, upto: str | None = None,
    among: Collection[str] | None = None, only: Mapping[str, tuple[str, ...]] | None = None, since: datetime | None = None,
) -> Present:  # fmt: skip
    """That of an entity there are these keys and no others, asked at `now` (UTC), within the bounds."""
    asked, named = now.astimezone(UTC).isoformat(), tuple(sorted(keys))
    listed = None if among is None else tuple(sorted(among))
    return Present(entity, asked, named, after, upto, listed, dict(only or {}), since.astimezone(UTC).isoformat() if since else None)


def present_page(name: str, words: Collection[Present], cursor: Mapping[str, Any] | None, now: datetime, *, last: bool) -> Page:
    """The page that says so; `name` is the path of the listing."""
    headers = {"received_at": now.astimezone(UTC).isoformat()}
    body = msgspec.json.encode(_Body(tuple(words)))
    return Page(body, "application/json", cursor, name=f"{name} keys", headers=headers, complete_until=now if last else None)


def map_present(body: bytes) -> Mapped | None:
    """What such a page means; None when it is none. Raises DataError for one that can't be read."""
    if not body.startswith(_BEGINS):
        return None
    try:
        words = msgspec.json.decode(body, type=_Body).present
    except msgspec.DecodeError as error:
        raise DataError(f"a list of keys can't be read: {error}", cause="file_unreadable") from error
    return Mapped(0, {}, no_rejects(), complete=tuple(map(_complete, words)))


def _complete(word: Present) -> Complete:
    return Complete(
        word.entity,
        frozenset(word.keys),
        datetime.fromisoformat(word.asked_at),
        after=word.after,
        upto=word.upto,
        among=None if word.among is None else frozenset(word.among),
        only=word.only,
        since=datetime.fromisoformat(word.since) if word.since else None,
    )
