"""What stands in for the database in the contract suite: the newest version of every record wins, and a pull that counts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import polars as pl

from sync.ports import Cursor, Filing, Mapped, Page, Pending, Source

PAGES_MAX = 60
Key = tuple[str, str]


@dataclass
class Store:
    """(entity, source_key) -> row, by the house's rule: a lower version never overwrites; an equal one with other content does."""

    rows: dict[Key, dict[str, Any]] = field(default_factory=dict)
    rejects: list[dict[str, Any]] = field(default_factory=list)
    changes: int = 0

    def take(self, mapped: Mapped) -> None:
        """Promotes a mapped page."""
        self.rejects.extend(mapped.rejects.to_dicts())
        for entity, frame in mapped.frames.items():
            for row in frame.drop("ordinal").to_dicts():
                self._promote((entity, row["source_key"]), row)
        for said in mapped.gone.to_dicts():
            held = self.rows.get((said["entity"], said["source_key"]))
            if held is not None and not held.get("is_deleted"):
                stamps = {"source_version": said["source_version"], "changed_at": said["changed_at"]}
                self._promote((said["entity"], said["source_key"]), {**held, **stamps, "is_deleted": True})

        for word in mapped.complete:
            for (entity, key), held in list(self.rows.items()):
                in_bounds = key in word.among if word.among is not None else (word.after or "") < key <= (word.upto or "\U0010ffff")
                texts = {name: str(held.get(name)).lower() if isinstance(held.get(name), bool) else held.get(name) for name in word.only}
                in_bounds = in_bounds and all(texts[name] in wanted for name, wanted in word.only.items())
                in_bounds = in_bounds and (word.within is None or key.partition("/")[0] in word.within)
                in_bounds = in_bounds and (word.since is None or held["changed_at"] >= word.since)
                if entity == word.entity and in_bounds and key not in word.present and not held.get("is_deleted"):
                    self._promote((entity, key), {**held, "is_deleted": True})

    def digest(self) -> str:
        """One value for all that is held: equal digests, equal facts."""
        return hashlib.sha256(repr(sorted((key, sorted(row.items())) for key, row in self.rows.items())).encode()).hexdigest()

    def live(self, entity: str) -> dict[str, dict[str, Any]]:
        """The rows of `entity` that are not deleted, by source key."""
        return {key: row for (kind, key), row in self.rows.items() if kind == entity and not row.get("is_deleted")}

    def copy(self) -> Store:
        """The same facts, apart."""
        return Store({key: dict(row) for key, row in self.rows.items()}, list(self.rejects), self.changes)

    def _promote(self, key: Key, row: dict[str, Any]) -> None:
        held = self.rows.get(key)
        if held is not None and (row["source_version"] < held["source_version"] or row == held):
            return
        self.rows[key] = row
        self.changes += 1


@dataclass
class Pulled:
    """A pull to its end: the pages, what each mapped to, and the cursor that is true afterwards."""

    pages: list[Page]
    mapped: list[Mapped]
    cursor: Cursor | None


def pull(source: Source, stream: str, cursor: Cursor | None, store: Store, *, now: datetime, pages_max: int = PAGES_MAX) -> Pulled:
    """Pulls `stream` from `cursor` to the end into `store`, settling files as the pipeline does; more pages than the bound fail."""
    done = Pulled([], [], cursor)
    for page in pages_of(source, stream, cursor, now=now):
        assert len(done.pages) < pages_max, "the pull does not end"
        mapped = source.map(stream, page)
        store.take(mapped)
        done.pages.append(page)
        done.mapped.append(mapped)
        if page.cursor is not None:
            done.cursor = page.cursor
        if isinstance(source, Filing):
            source.settled(stream, page, accepted=True, reason=None)
    return done


def pages_of(source: Source, stream: str, cursor: Cursor | None, *, now: datetime) -> Iterator[Page]:
    """The pages of a pull; where the system needs time the pull is taken up again from its cursor at once, as by another worker."""
    for _ in range(PAGES_MAX):
        pending = None
        for item in source.pull(stream, cursor, now=now):
            if isinstance(item, Pending):
                pending = item
                break
            yield item
        if pending is None:
            return
        cursor = pending.cursor
    raise AssertionError("the system is never done preparing")


def pull_pages(source: Source, stream: str, cursor: Cursor | None, store: Store, *, now: datetime, pages: int) -> Cursor | None:
    """Commits `pages` pages from `cursor` on and then stops as a killed worker would; the cursor that was committed."""
    pulling = source.pull(stream, cursor, now=now)
    for _ in range(pages):
        page = next(pulling)
        if isinstance(page, Pending):
            return page.cursor
        store.take(source.map(stream, page))
        cursor = cursor if page.cursor is None else page.cursor
        if isinstance(source, Filing):
            source.settled(stream, page, accepted=True, reason=None)
    return cursor


def ordinals(mapped: Mapped) -> tuple[set[int], set[int]]:
    """The ordinals that landed in any frame, and those that were rejected."""
    landed = {ordinal for frame in mapped.frames.values() for ordinal in frame["ordinal"].to_list()}
    return landed, set(mapped.rejects["ordinal"].to_list())


def types_of(frame: pl.DataFrame) -> Mapping[str, pl.DataType]:
    """Column -> type, as a plain mapping."""
    return dict(frame.schema)
