"""Landing: the bytes as received, stored once, before anything in them is believed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa  # type: ignore[import-untyped,unused-ignore]
import sqlalchemy as sa
from psycopg.types.json import Jsonb

from db.engine import Reading, Writing, driver
from db.schema.raw import ORDINAL_BITS
from sync.ports import Page

COMPRESS_ABOVE_BYTES = 512
_COLUMNS = (
    "id",
    "recorded_at",
    "connection",
    "stream",
    "region",
    "run_id",
    "sequence",
    "kind",
    "name",
    "content_type",
    "encoding",
    "digest",
    "byte_count",
    "record_count",
    "headers",
    "body",
)


class RawMissing(LookupError):
    """The bytes asked for are not stored (any more)."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A page on its way in: where it came from and how many records were found in it (None: it could not be read)."""

    page: Page
    kind: str
    sequence: int
    records: int | None


@dataclass(frozen=True, slots=True)
class Landed:
    """Where a page's bytes lie. `seen_before`: the same bytes had arrived on this stream already and were not stored again."""

    page_id: int
    seen_before: bool


@dataclass(frozen=True, slots=True)
class Stored:
    """A landed page as it was received, and the stream it belongs to."""

    page_id: int
    connection: str
    stream: str
    region: str
    kind: str
    recorded_at: datetime
    page: Page


def raw_record_id(page_id: int, ordinal: int) -> int:
    """The permanent name of a record: its page and its ordinal in it."""
    return (page_id << ORDINAL_BITS) | ordinal


def split_record_id(record_id: int) -> tuple[int, int]:
    """(page id, ordinal) of a raw record."""
    return record_id >> ORDINAL_BITS, record_id & ((1 << ORDINAL_BITS) - 1)


def land(
    conn: Writing,
    arrivals: Sequence[Arrival],
    *,
    connection: str,
    stream: str,
    region: str,
    run_id: int | None,
    now: datetime,
) -> list[Landed]:
    """Stores the pages, in order; bytes that this stream has brought before are found again, not stored twice."""
    if not arrivals:
        return []
    digests = [hashlib.sha256(arrival.page.body).digest() for arrival in arrivals]
    known = _known(conn, connection, stream, digests)
    fresh = [digest for digest in dict.fromkeys(digests) if digest not in known]
    ids = dict(zip(fresh, _new_ids(conn, len(fresh)), strict=True))
    landed: list[Landed] = []
    rows: list[tuple[object, ...]] = []
    stored: set[bytes] = set()
    for arrival, digest in zip(arrivals, digests, strict=True):
        seen = digest in known or digest in stored
        landed.append(Landed(known.get(digest) or ids[digest], seen))
        if not seen:
            stored.add(digest)
            where = (now, connection, stream, region, run_id)
            rows.append((ids[digest], *where, *_content(arrival, digest)))
    _store(conn, rows)
    return landed


def read(conn: Reading, page_id: int) -> Stored:
    """The page with this id, its bytes as received. Raises RawMissing when retention has dropped it."""
    row = conn.execute(
        sa.text(
            "select connection, stream, region, kind, name, content_type, encoding, byte_count, headers, body, recorded_at"
            " from raw.page where id = :id"
        ),
        {"id": page_id},
    ).one_or_none()
    if row is None:
        raise RawMissing(f"raw page {page_id} is not stored: it may have been dropped by retention")
    body = bytes(row.body)
    if row.encoding == "zstd":
        body = pa.decompress(body, decompressed_size=row.byte_count, codec="zstd", asbytes=True)
    page = Page(
        body=body,
        content_type=row.content_type or "application/octet-stream",
        cursor=None,
        name=row.name,
        headers={str(key): str(value) for key, value in (row.headers or {}).items()},
    )
    return Stored(page_id, row.connection, row.stream, row.region, row.kind, row.recorded_at, page)


def _known(conn: Reading, connection: str, stream: str, digests: Sequence[bytes]) -> Mapping[bytes, int]:
    rows = conn.execute(
        sa.text(
            "select digest, min(id) as id from raw.page"
            " where connection = :connection and stream = :stream and digest = any(:digests) group by digest"
        ),
        {"connection": connection, "stream": stream, "digests": list(digests)},
    )
    return {bytes(row.digest): int(row.id) for row in rows}


def _new_ids(conn: Writing, count: int) -> list[int]:
    if not count:
        return []
    rows = conn.execute(sa.text("select nextval('raw.page_id_seq') from generate_series(1, :count)"), {"count": count})
    return sorted(int(row[0]) for row in rows)


def _content(arrival: Arrival, digest: bytes) -> tuple[object, ...]:
    page = arrival.page
    body, encoding = page.body, "identity"
    if len(body) > COMPRESS_ABOVE_BYTES:
        packed = pa.compress(body, codec="zstd", asbytes=True)
        if len(packed) < len(body):
            body, encoding = packed, "zstd"
    return (
        arrival.sequence,
        arrival.kind,
        page.name,
        page.content_type,
        encoding,
        digest,
        len(page.body),
        arrival.records,
        Jsonb(dict(page.headers)),
        body,
    )


def _store(conn: Writing, rows: Sequence[tuple[object, ...]]) -> None:
    """INSERT, not COPY: an owner without superuser rights may not COPY into a table under row-level security."""
    if not rows:
        return
    marks = ", ".join("%b" if name in ("digest", "body") else "%s" for name in _COLUMNS)
    with driver(conn).cursor() as cursor:
        cursor.executemany(f"insert into raw.page ({', '.join(_COLUMNS)}) values ({marks})", rows)
