"""A page of a declared list in canonical words. Pure: bytes and the page's own headers in, frames out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

import polars as pl

from sync.declared.columns import PROBLEM_SCHEMA, typed
from sync.declared.declaration import Feed
from sync.declared.mapping import Speaker, Telling, fed
from sync.declared.records import of_rows
from sync.declared.rules import condition
from sync.ports import GONE_SCHEMA, Complete, Mapped, Page
from sync.systems.rest.declaration import Application, RestStream
from sync.systems.rest.paths import members
from sync.systems.rest.values import texts
from sync.wire_frames import Rows, decode, fields_seen, split

ASKED_HEADER = "x-tidegate-asked-at"
PRESENT_HEADER = "x-tidegate-present"
"""When the page was asked for; on the last page of a whole reading the keys of the pages before it."""

_ARRAY = b'{"records":'
_LONG_AGO = "1970-01-01T00:00:00+00:00"


@dataclass(frozen=True, slots=True)
class Read:
    """A page's records: `rows` as they came, `texts` by declared column, `reshaped` (ordinal, column, text) of values that have become objects."""

    rows: Rows
    texts: list[dict[str, str | None]]
    reshaped: list[tuple[int, str, str]]

    def last(self) -> Mapping[str, Any]:
        """The last record as it came, also where it can't be believed: what is wrong with it does not hide where the next page is."""
        place = self.rows.total - 1
        if place in self.rows.broken:
            return loosely(bytes(self.rows.raw[place]))
        return self.rows.sound[-1] if self.rows.sound else {}


def loosely(text: bytes) -> Mapping[str, Any]:
    """An object with its numbers as text, NaN as nothing and of a twin key the last; empty where it is no JSON object."""
    try:
        found = json.loads(text, parse_float=str, parse_constant=lambda _: None)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def read(body: bytes, stream: RestStream, zone: str | None) -> Read:
    """The records of a body, which holds them where the stream says. Raises DataError when it does not; no body holds none."""
    if not body.strip():
        rows = decode(())
    elif stream.records:
        rows = decode(split(body, *members(stream.records)).records)
    else:
        rows = decode(split(_ARRAY + body + b"}", "records").records)
    found: list[dict[str, str | None]] = []
    reshaped: list[tuple[int, str, str]] = []
    for ordinal, record in zip(rows.ordinals, rows.sound, strict=True):
        row, objects = texts(record, stream, zone)
        found.append(row)
        reshaped += [(ordinal, column, text) for column, text in objects]
    return Read(rows, found, reshaped)


def map_page(page: Page, stream: RestStream, application: Application, speaker: Speaker) -> Mapped:
    """The page in canonical words. Raises DataError when it is no page, or more of it is unreadable than the declaration allows."""
    given = read(page.body, stream, speaker.zone)
    asked_at = datetime.fromisoformat(page.headers.get(ASKED_HEADER, _LONG_AGO))
    broken = [
        (ordinal, bytes(given.rows.raw[ordinal]).decode("utf-8", "replace"), why) for ordinal, why in sorted(given.rows.broken.items())
    ]
    records = of_rows(given.texts, stream, given.rows.members(), broken)
    lines, problems = typed(records, stream, speaker.zone)
    drift = _drift(given)
    problems = pl.concat([drift, problems.join(drift, on=["ordinal", "column"], how="anti")])
    lines, problems, gone = _parted(lines, problems, stream)
    mapped = fed(records, lines, problems, _versioned(stream), speaker, Telling(page.name or stream.stream, asked_at))
    complete = () if PRESENT_HEADER not in page.headers else _complete(page, stream, application, lines, asked_at)
    return replace(mapped, fields_seen=fields_seen(given.rows), gone=_gone(gone, stream, asked_at), complete=complete)


def keys_of(page: Page, stream: RestStream, zone: str | None) -> list[str] | None:
    """The keys of a page's living records, as a whole reading lists them; None when a record hides its own: such a list proves nothing."""
    given = read(page.body, stream, zone)
    lines, problems = typed(of_rows(given.texts, stream, ()), stream, zone)
    lines, _, _ = _parted(lines, problems, stream)
    keys = _keys(lines, stream.entities[0])
    return None if given.rows.broken or len(keys) < lines.height else keys


def _drift(given: Read) -> pl.DataFrame:
    rows = [(ordinal, column, "schema_drift", f"{column} has become an object or a list", text) for ordinal, column, text in given.reshaped]
    return pl.DataFrame(rows, schema=PROBLEM_SCHEMA, orient="row")


def _parted(lines: pl.DataFrame, problems: pl.DataFrame, stream: RestStream) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """(the records that live, the problems that count, the records that are gone): of one that is gone only its key is needed."""
    if not stream.deleted:
        return lines, problems, lines.clear()
    needed = {key for feed in stream.entities for key in feed.key} | {column for one in stream.deleted for column in one.columns()}
    bad = problems.filter(pl.col("column").is_in(sorted(needed | {""})))["ordinal"].unique().implode()
    is_gone = pl.all_horizontal([condition(one) for one in stream.deleted]).fill_null(value=False) & ~pl.col("ordinal").is_in(bad)
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


def _gone(lines: pl.DataFrame, stream: RestStream, asked_at: datetime) -> pl.DataFrame:
    """What is gone of each entity that such a record feeds: as of when it was asked for, whatever version it had."""
    if lines.is_empty():
        return pl.DataFrame(schema=GONE_SCHEMA)
    said = [
        lines.select(
            "ordinal",
            pl.lit(feed.entity).alias("entity"),
            _key(feed).alias("source_key"),
            pl.lit(_far(stream, feed, asked_at), pl.Int64).alias("source_version"),
            pl.lit(asked_at).alias("changed_at"),
        ).cast(pl.Schema(GONE_SCHEMA))
        for feed in stream.entities
    ]
    return pl.concat(said)


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


def _key(feed: Feed) -> pl.Expr:
    return pl.concat_str([pl.col(key).cast(pl.String) for key in feed.key], separator="/")


def _keys(lines: pl.DataFrame, feed: Feed) -> list[str]:
    return [key for key in lines.select(_key(feed)).to_series().to_list() if key is not None]
