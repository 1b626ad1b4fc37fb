"""Frames to Postgres and back, fast: COPY both ways, and the content hash that tells a changed record from a repeat."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import polars as pl
import sqlalchemy as sa
import xxhash
from psycopg import sql

from db.engine import Reading, Writing, driver

_ROWS_PER_WRITE = 2_000
"""So that Postgres reads some rows while the next are written down."""
_MOMENT = "%Y-%m-%d %H:%M:%S%.6f+00:00"
_SPECIAL = r"[\\\t\n\r]"
_ESCAPES = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}
_NULL_MARK = "\x1e"
_COLUMN_MARK = "\x1f"
_ITEM_MARK = "\x1d"


class FrameUnfit(TypeError):
    """A frame that can't go into a table exactly as it is; the message names the column."""


def identifier(table: sa.Table) -> sql.Identifier:
    """The table's qualified name, quoted."""
    return sql.Identifier(*([table.schema] if table.schema else []), table.name)


def columns_sql(names: Sequence[str], prefix: str | None = None) -> sql.Composed:
    """Column names, quoted and separated by commas, each behind `prefix.` if given."""
    return sql.SQL(", ").join(sql.Identifier(*([prefix] if prefix else []), name) for name in names)


def copy_frame(conn: Writing, table: sa.Table, frame: pl.DataFrame) -> int:
    """Append all rows of `frame` to `table` by COPY and return how many; columns are matched by name.

    Null and the empty text stay distinct. Text may stand for jsonb and arrays; lists of text for text[]. Raises
    FrameUnfit for columns that would be changed on the way (floats or too many decimals for an amount, times
    without a zone) and, like any insert, IntegrityError.
    """
    if frame.is_empty():
        return 0
    check_fits(table, frame)
    connection = driver(conn)
    active = connection.execute("SELECT row_security_active(%s::regclass)", [identifier(table).as_string(connection)]).fetchone()
    if active == (False,):
        copy_into(conn, identifier(table), frame)
        return frame.height
    # Postgres refuses COPY into a table to whom row-level security applies; INSERT is checked row by row.
    staging = sql.Identifier("pg_temp", f"copy_{table.name}")
    connection.execute(
        sql.SQL("CREATE TEMP TABLE {} ON COMMIT DROP AS SELECT {} FROM {} WITH NO DATA").format(
            sql.Identifier(f"copy_{table.name}"), columns_sql(frame.columns), identifier(table)
        )
    )
    copy_into(conn, staging, frame)
    connection.execute(
        sql.SQL("INSERT INTO {} ({names}) SELECT {names} FROM {}").format(identifier(table), staging, names=columns_sql(frame.columns))
    )
    connection.execute(sql.SQL("DROP TABLE {}").format(staging))
    return frame.height


def copy_into(conn: Writing, target: sql.Identifier, frame: pl.DataFrame) -> None:
    """COPY `frame` into `target` without any check but Postgres's own."""
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(target, columns_sql(frame.columns))
    with _translated(conn), driver(conn).cursor().copy(statement) as copy:
        for lines in _lines(frame):
            copy.write(lines)


def check_fits(table: sa.Table, frame: pl.DataFrame) -> None:
    """Raise FrameUnfit unless every column of `frame` is in `table` and would arrive there exactly as it is."""
    for name, dtype in frame.schema.items():
        if name not in table.columns:
            raise FrameUnfit(f"{table.fullname} has no column {name!r}")
        wanted = table.columns[name].type
        kind = wanted.impl_instance if isinstance(wanted, sa.types.TypeDecorator) else wanted
        if isinstance(dtype, pl.Datetime) and dtype.time_zone is None:
            raise FrameUnfit(f"{table.fullname}.{name}: times without a zone; say which zone they are in")
        if type(kind) is sa.Numeric and kind.scale is not None:
            if dtype.is_float():
                raise FrameUnfit(f"{table.fullname}.{name} is exact and isn't filled from floats")
            if isinstance(dtype, pl.Decimal) and dtype.scale > kind.scale and _has_more(frame[name], kind.scale):
                raise FrameUnfit(f"{table.fullname}.{name} keeps {kind.scale} decimals; the frame has more")


def _has_more(amounts: pl.Series, scale: int) -> bool:
    return bool((amounts.cast(pl.String).str.contains(rf"\.\d{{{scale}}}0*[1-9]")).any())


class _translated:  # noqa: N801 - used as a statement
    """Turns psycopg's errors into SQLAlchemy's, as any other statement on the connection would raise them."""

    def __init__(self, conn: Reading) -> None:
        self._conn = conn

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _trace: object) -> None:
        dbapi = self._conn.dialect.dbapi
        if dbapi is None or not isinstance(error, cast("type[Exception]", dbapi.Error)):
            return
        raise sa.exc.DBAPIError.instance("COPY", None, error, dbapi.Error, dialect=self._conn.dialect) from error


def _lines(frame: pl.DataFrame) -> Iterator[bytes]:
    """COPY's own text format, which Postgres reads a third faster than CSV: tabs between, a mark for null, backslashes before specials."""
    ready = frame.select(_as_text(name, dtype) for name, dtype in frame.schema.items())
    texts = [name for name, dtype in ready.schema.items() if dtype == pl.String]
    special = ready.select(pl.col(name).str.contains(_SPECIAL).any() for name in texts).row(0) if texts else ()
    ready = ready.with_columns(pl.col(name).str.replace_many(_ESCAPES) for name, holds in zip(texts, special, strict=True) if holds)
    for rows in ready.iter_slices(_ROWS_PER_WRITE):
        buffer = io.BytesIO()
        rows.write_csv(buffer, include_header=False, separator="\t", quote_style="never", null_value="\\N", datetime_format=_MOMENT)
        yield buffer.getvalue()


def _as_text(name: str, dtype: pl.DataType) -> pl.Expr:
    column = pl.col(name)
    if isinstance(dtype, pl.Datetime):
        return column.dt.convert_time_zone("UTC")
    if isinstance(dtype, pl.List):
        item = pl.element().str.replace_all("\\", "\\\\", literal=True).str.replace_all('"', '\\"', literal=True)
        quoted = column.list.eval(pl.format('"{}"', item).fill_null("NULL")).list.join(",")
        return pl.when(column.is_null()).then(None).otherwise(pl.lit("{") + quoted + pl.lit("}")).alias(name)
    if dtype == pl.Binary:
        return (pl.lit("\\x") + column.bin.encode("hex")).alias(name)
    return column.cast(pl.String) if dtype in (pl.Enum, pl.Categorical) else column


def read_frame(
    conn: Reading,
    query: str,
    schema: Mapping[str, pl.DataType | type[pl.DataType]],
    params: Mapping[str, Any] | None = None,
) -> pl.DataFrame:
    """The rows of `query` by COPY, as a frame of exactly `schema`'s columns and types, in that order.

    Parameters are written `%(name)s` and quoted by the driver. Amounts are exact, times are UTC, jsonb arrives as
    text and text[] as a list. The query needs an ORDER BY where order matters.
    """
    inner = sql.SQL("SELECT {}, 1 FROM ({}) q").format(
        sql.SQL(", ").join(_selected(name, dtype) for name, dtype in schema.items()),
        sql.SQL(query),
    )
    statement = sql.SQL("COPY ({}) TO STDOUT (FORMAT csv)").format(inner)
    buffer = io.BytesIO()
    with _translated(conn), driver(conn).cursor().copy(statement, params) as copy:
        for lines in copy:
            buffer.write(lines)
    if not buffer.tell():
        return pl.DataFrame(schema=dict(schema))
    raw = {name: _carried(dtype) for name, dtype in schema.items()} | {"_end": pl.Int8()}
    buffer.seek(0)
    frame = pl.read_csv(buffer, has_header=False, schema=raw)
    return frame.select(_restored(name, dtype) for name, dtype in schema.items())


def _selected(name: str, dtype: pl.DataType | type[pl.DataType]) -> sql.Composed:
    """Numbers for what a CSV reader would have to guess: microseconds, days, 0 or 1."""
    form = "{}"
    if dtype == pl.Datetime:
        form = "(extract(epoch FROM {}) * 1000000)::bigint"
    elif dtype == pl.Date:
        form = "{} - date '1970-01-01'"
    elif dtype == pl.Boolean:
        form = "{}::int"
    elif dtype == pl.List:
        form = "to_jsonb({})::text"
    return sql.SQL(form).format(sql.Identifier("q", name))


def _carried(dtype: pl.DataType | type[pl.DataType]) -> pl.DataType | type[pl.DataType]:
    carriers: dict[Any, type[pl.DataType]] = {pl.Datetime: pl.Int64, pl.Date: pl.Int32, pl.Boolean: pl.Int8}
    for kind, carrier in carriers.items():
        if dtype == kind:
            return carrier
    return pl.String if dtype in (pl.List, pl.Binary, pl.Enum, pl.Categorical) else dtype


def _restored(name: str, dtype: pl.DataType | type[pl.DataType]) -> pl.Expr:
    column = pl.col(name)
    if dtype == pl.Datetime:
        moment = pl.from_epoch(column, time_unit="us").dt.replace_time_zone("UTC")
        return moment.cast(dtype).alias(name)
    if dtype == pl.List:
        return column.str.json_decode(cast(pl.DataType, dtype))
    if dtype == pl.Binary:
        return column.str.strip_prefix("\\x").str.decode("hex")
    return column.cast(dtype)


def content_hash(frame: pl.DataFrame, columns: Sequence[str]) -> pl.Series:
    """xxh3-64 of `columns` row by row, as Int64: equal for equal content, the same in every run and on every machine.

    The order of `columns` counts, null and the empty text differ, amounts count by value at their column's scale.
    """
    if frame.is_empty():
        return pl.Series("content_hash", [], dtype=pl.Int64)
    schema = frame.schema  # put together anew each time it is asked for
    parts = [_hashed(name, schema[name]).fill_null(_NULL_MARK) for name in columns]
    lines = frame.select(pl.concat_str(parts, separator=_COLUMN_MARK)).to_series()
    digest = xxhash.xxh3_64_intdigest
    hashes = pl.Series("content_hash", [digest(line) for line in lines.cast(pl.Binary).to_list()], dtype=pl.UInt64)
    return hashes.reinterpret(signed=True)


def _hashed(name: str, dtype: pl.DataType) -> pl.Expr:
    column = pl.col(name)
    if isinstance(dtype, pl.Datetime):
        return column.dt.epoch("us").cast(pl.String)
    if isinstance(dtype, pl.List):
        items = column.list.eval(pl.element().fill_null(_NULL_MARK)).list.join(_ITEM_MARK)
        return column.list.len().cast(pl.String) + items
    return column.cast(pl.String)
