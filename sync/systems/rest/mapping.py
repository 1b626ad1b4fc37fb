"""A page of a declared list in canonical words. Pure: bytes and the page's own headers in, frames out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

import polars as pl

from sync.declared.columns import PROBLEM_SCHEMA, expression, typed
from sync.declared.declaration import Feed
from sync.declared.mapping import Speaker, Telling, fed
from sync.declared.records import of_rows, raw
from sync.declared.rules import condition
from sync.ports import GONE_SCHEMA, Complete, Mapped, Page
from sync.strict_json import loosely
from sync.systems.rest.declaration import Application, RestStream
from sync.systems.rest.finding import Listed, listed
from sync.systems.rest.paths import where
from sync.systems.rest.values import texts
from sync.wire_frames import Rows

ASKED_HEADER = "x-tidegate-asked-at"
PRESENT_HEADER = "x-tidegate-present"
WAY_HEADER = "records_way"
"""When the page was asked for; on the last page of a whole reading the keys of the pages before it; the steps to the records, for
who wants to see one of them."""

_LONG_AGO = "1970-01-01T00:00:00+00:00"


@dataclass(frozen=True, slots=True)
class Read:
    """A page's records: as they were `listed`, `texts` by declared column, `reshaped` (ordinal, column, text) of values that have become objects."""

    listed: Listed
    texts: list[dict[str, str | None]]
    reshaped: list[tuple[int, str, str]]

    @property
    def outer(self) -> Rows:
        """The records of the list that is paged."""
        return self.listed.outer

    def last(self) -> Mapping[str, Any]:
        """The last record of the list as it came, also where it can't be believed: what is wrong with it does not hide where the next page is."""
        place = self.outer.total - 1
        if place in self.outer.broken:
            found = loosely(bytes(self.outer.raw[place]))
            return found if isinstance(found, dict) else {}
        return self.outer.sound[-1] if self.outer.sound else {}


def read(body: bytes, stream: RestStream, zone: str | None) -> Read:
    """The records of a body, which holds them where the stream says. Raises DataError when it does not; no body holds none."""
    root = any(where(stream.path_of(name)).up for name in stream.columns)
    given = listed(body, stream.way, lacking=stream.absent_is_empty, single=stream.single, root=root)
    found: list[dict[str, str | None]] = []
    reshaped: list[tuple[int, str, str]] = []
    for ordinal, record in zip(given.ordinals, given.found, strict=True):
        row, objects = texts(record, stream, zone)
        found.append(row)
        reshaped += [(ordinal, column, text) for column, text in objects]
    return Read(given, found, reshaped)


def stamps(given: Read, stream: RestStream, zone: str | None) -> tuple[datetime | None, datetime | None]:
    """(oldest, newest) moment in the incremental column of a page, UTC; a day counts from its beginning. A record of the list that holds no
    record of its own counts too.
    """
    if stream.incremental is None or stream.is_draft:
        return None, None
    name = stream.incremental.column
    column = stream.columns[name]
    childless = [texts(one, stream, zone)[0][name] for one in given.listed.childless]
    rows = [{name: text} for text in [*(row[name] for row in given.texts), *childless]]
    lines = of_rows(rows, stream, ()).lines.select(expression(pl.col(raw(name)), column, stream, column.zone or zone).alias(name))
    found = lines[name].drop_nulls()
    if column.type == "date":
        found = found.cast(pl.Datetime("us")).dt.replace_time_zone(
            column.zone or zone or "UTC", ambiguous="earliest", non_existent="null"
        ).dt.convert_time_zone("UTC").drop_nulls()  # fmt: skip
    oldest, newest = found.min(), found.max()
    return oldest if isinstance(oldest, datetime) else None, newest if isinstance(newest, datetime) else None


def map_page(page: Page, stream: RestStream, application: Application, speaker: Speaker) -> Mapped:
    """The page in canonical words. Raises DataError when it is no page, or more of it is unreadable than the declaration allows."""
    given = read(page.body, stream, speaker.zone)
    asked_at = datetime.fromisoformat(page.headers.get(ASKED_HEADER, _LONG_AGO))
    records = of_rows(given.texts, stream, given.listed.seen, given.listed.broken)
    lines, problems = typed(records, stream, speaker.zone)
    drift = pl.concat([_drift(given), _slashed(lines, stream)])
    problems = pl.concat([drift, problems.join(drift, on=["ordinal", "column"], how="anti")])
    lines, problems, gone = _parted(lines, problems, stream)
    mapped = fed(records, lines, problems, _versioned(stream), speaker, Telling(page.name or stream.stream, asked_at))
    complete = _complete(page, stream, application, lines, asked_at) if PRESENT_HEADER in page.headers else ()
    if stream.parents_whole:
        complete += _of_parents(given, stream, lines, speaker.zone, asked_at)
    return replace(mapped, fields_seen=given.listed.seen, gone=_gone(gone, stream, application, asked_at), complete=complete)


def keys_of(page: Page, stream: RestStream, zone: str | None) -> list[str] | None:
    """The keys of a page's living records, as a whole reading lists them; None when a record hides its own: such a list proves nothing."""
    given = read(page.body, stream, zone)
    lines, problems = typed(of_rows(given.texts, stream, ()), stream, zone)
    lines, _, _ = _parted(lines, problems, stream)
    keys = _keys(lines, stream.entities[0])
    return None if given.listed.broken or len(keys) < lines.height else keys


def _drift(given: Read) -> pl.DataFrame:
    rows = [(ordinal, column, "schema_drift", f"{column} has become an object or a list", text) for ordinal, column, text in given.reshaped]
    return pl.DataFrame(rows, schema=PROBLEM_SCHEMA, orient="row")


def _slashed(lines: pl.DataFrame, stream: RestStream) -> pl.DataFrame:
    """Records whose outer one has a key that would be taken for the beginning of another's."""
    firsts = sorted({feed.key[0] for feed in stream.entities}) if stream.parents_whole else []
    rows = [
        (ordinal, first, "bad_value", f"{first} {text} holds a /: with parents_whole the outer record's key may not", text)
        for first in firsts
        for ordinal, text in lines.select("ordinal", pl.col(first).cast(pl.String)).rows()
        if text is not None and "/" in text
    ]
    return pl.DataFrame(rows, schema=PROBLEM_SCHEMA, orient="row")


def _parted(lines: pl.DataFrame, problems: pl.DataFrame, stream: RestStream) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """(the records that live, the problems that count, the records that are gone): of one that is gone only its key is needed."""
    if not (stream.deleted or stream.only_deleted):
        return lines, problems, lines.clear()
    needed = {key for feed in stream.entities for key in feed.key} | {column for one in stream.deleted for column in one.columns()}
    bad = problems.filter(pl.col("column").is_in(sorted(needed | {""})))["ordinal"].unique().implode()
    said = pl.all_horizontal([pl.lit(True), *(condition(one) for one in stream.deleted)])
    is_gone = said.fill_null(value=False) & ~pl.col("ordinal").is_in(bad)
    gone = lines.filter(is_gone)
    return lines.filter(~is_gone), problems.filter(~pl.col("ordinal").is_in(gone["ordinal"].implode())), gone


def _versioned(stream: RestStream) -> RestStream:
    """The stream with the incremental column as version and stamp of the feeds that name none of their own."""
    if stream.incremental is None:
        return stream
    column = stream.incremental.column
    feeds = tuple(
        feed.model_copy(update={"version": feed.version or column, "changed_at": feed.changed_at or (column,)}) for feed in stream.entities
    )
    return stream.model_copy(update={"entities": feeds})


def _gone(lines: pl.DataFrame, stream: RestStream, application: Application, asked_at: datetime) -> pl.DataFrame:
    """What is gone of each entity that such a record feeds: as of when it was asked for, whatever version it had."""
    if lines.is_empty():
        return pl.DataFrame(schema=GONE_SCHEMA)
    said = [
        lines.drop_nulls(list(feed.key))
        .select(
            "ordinal",
            pl.lit(feed.entity).alias("entity"),
            _key(feed).alias("source_key"),
            pl.lit(_far(*_told_by(stream, feed, application), asked_at), pl.Int64).alias("source_version"),
            pl.lit(asked_at).alias("changed_at"),
        )
        .cast(pl.Schema(GONE_SCHEMA))
        for feed in stream.entities
    ]
    return pl.concat(said)


def _told_by(stream: RestStream, feed: Feed, application: Application) -> tuple[RestStream, Feed]:
    """The list, and its feed, that says what a record is while it lives: of a list of deleted ones another list of the same entity."""
    if stream.only_deleted:
        for other in application.streams:
            for each in other.entities if not other.only_deleted else ():
                if each.entity == feed.entity:
                    return other, each
    return stream, feed


def _far(stream: RestStream, feed: Feed, asked_at: datetime) -> int:
    """A version that no record read so far has, and that one which comes back later exceeds."""
    column = feed.version or (stream.incremental.column if stream.incremental else None)
    if column is None:
        return 0
    kind = stream.columns[column].type
    if kind == "time":
        return round(asked_at.timestamp() * 1_000_000)
    return (asked_at.date() - date(1970, 1, 1)).days if kind == "date" else 2**62


def _complete(page: Page, stream: RestStream, application: Application, lines: pl.DataFrame, asked_at: datetime) -> tuple[Complete, ...]:
    before = json.loads(page.headers[PRESENT_HEADER])
    present = frozenset([*before["keys"], *_keys(lines, stream.entities[0])])
    began = min(asked_at, datetime.fromisoformat(before["began"]))
    return tuple(
        Complete(entity, present, began, gone_max=application.gone_max) for entity in dict.fromkeys(feed.entity for feed in stream.entities)
    )


def _of_parents(given: Read, stream: RestStream, lines: pl.DataFrame, zone: str | None, asked_at: datetime) -> tuple[Complete, ...]:
    """Of each outer record, that the keys which begin with its own are all there are."""
    said: list[Complete] = []
    if given.listed.broken:
        return ()  # nobody knows whose they are
    barren = [texts(one, stream, zone)[0] for one in given.listed.childless]
    for feed in stream.entities:
        first = feed.key[0]
        keys = lines.select(pl.col(first).cast(pl.String).alias("parent"), _key(feed).alias("key")).drop_nulls("parent")
        unsure = keys.filter(pl.col("key").is_null())["parent"].unique().to_list()
        without = {text.strip() for row in barren if (text := row[first]) is not None and text.strip()}
        parents = frozenset({*keys["parent"].to_list(), *without} - {*unsure})
        present = frozenset(keys["key"].drop_nulls().to_list())
        said.append(Complete(feed.entity, present, asked_at, gone_max=1.0, within=parents))
    return tuple(said)


def _key(feed: Feed) -> pl.Expr:
    return pl.concat_str([pl.col(key).cast(pl.String) for key in feed.key], separator="/")


def _keys(lines: pl.DataFrame, feed: Feed) -> list[str]:
    return [key for key in lines.select(_key(feed)).to_series().to_list() if key is not None]
