"""What the database itself refuses of amounts, even when our types are bypassed."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import polars as pl
import pytest
import sqlalchemy as sa
from polars.testing import assert_frame_equal

from db.copying import FrameUnfit, copy_frame, read_frame
from db.engine import Writing, driver, reading, writing
from db.money import AMOUNT
from db.schema import metadata

NOW = datetime(2026, 3, 2, 9, 0, 0, 123456, tzinfo=UTC)
RATE = metadata.tables["canonical.opportunity"]


def _rows(amounts: list[object], dtype: pl.DataType) -> pl.DataFrame:
    count = len(amounts)
    return pl.DataFrame(
        {
            "source": ["crm"] * count,
            "source_key": [str(number) for number in range(count)],
            "source_version": [1] * count,
            "content_hash": [1] * count,
            "region": ["EMEA"] * count,
            "changed_at": [NOW] * count,
            "recorded_at": [NOW] * count,
            "raw_record_id": [1] * count,
            "contract_version": [1] * count,
            "amount": pl.Series(amounts, dtype=dtype),
        }
    )


@pytest.mark.postgres_versions
@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e15"])
def test_the_database_refuses_what_is_no_amount(engine: sa.Engine, value: str) -> None:
    """NaN, infinities and overflow fail even as raw SQL, so no sum can be poisoned."""
    frame = _rows([Decimal(1)], AMOUNT)
    with writing(engine) as conn:
        copy_frame(conn, RATE, frame)
    with pytest.raises(sa.exc.DBAPIError), writing(engine) as conn:
        conn.execute(sa.text(f"UPDATE canonical.opportunity SET amount = '{value}'"))


def test_frames_that_would_be_rounded_are_refused(engine: sa.Engine) -> None:
    """COPY would round a fifth decimal and take floats; the frame is refused instead, and nothing lands."""
    for amounts, dtype in (([Decimal("1.00005")], pl.Decimal(19, 5)), ([1.5], pl.Float64())):
        with pytest.raises(FrameUnfit, match="amount"), writing(engine) as conn:
            copy_frame(conn, RATE, _rows(list(amounts), dtype))
    with writing(engine) as conn:
        assert copy_frame(conn, RATE, _rows([Decimal("1.50000")], pl.Decimal(19, 5))) == 1


def test_times_without_a_zone_are_refused(engine: sa.Engine) -> None:
    """A naive time says nothing about when it was."""
    naive = _rows([Decimal(1)], AMOUNT).with_columns(pl.col("changed_at").dt.replace_time_zone(None))
    with pytest.raises(FrameUnfit, match="zone"), writing(engine) as conn:
        copy_frame(conn, RATE, naive)


@pytest.mark.postgres_versions
def test_frames_survive_the_way_there_and_back(engine: sa.Engine) -> None:
    """Every kind of value, null beside empty, quotes, line ends and the extremes come back as they went."""
    frame = pl.DataFrame(
        {
            "a": ["", None, 'x,"y\n', "\\N"],
            "d": [Decimal("1.5"), None, Decimal("-0.0001"), Decimal("123456789012345.1234")],
            "t": [NOW, NOW, None, datetime(1960, 1, 1, tzinfo=UTC)],
            "b": [True, None, False, True],
            "day": [date(2026, 1, 2), None, date(1960, 1, 1), date(9999, 12, 31)],
            "list": [['a,"b', "c\\{}", None, ""], [], None, ["NULL"]],
            "json": ['{"a": 1}', None, "[]", '"x"'],
            "bytes": [b"\x00a", None, b"", b"z"],
            "big": [1, 2, None, -(2**63)],
        },
        schema_overrides={"d": AMOUNT, "t": pl.Datetime("us", "UTC"), "bytes": pl.Binary},
    )
    table = sa.Table(
        "there_and_back",
        sa.MetaData(),
        *[sa.Column(name, sa.Text) for name in frame.columns],
    )
    with writing(engine) as conn:
        driver(conn).execute(
            "CREATE TEMP TABLE there_and_back (a text, d numeric(19,4), t timestamptz, b boolean, day date,"
            " list text[], json jsonb, bytes bytea, big bigint)"
        )
        assert copy_frame(conn, table, frame) == 4
        assert_frame_equal(read_frame(conn, "SELECT * FROM there_and_back", frame.schema), frame)
        one = read_frame(conn, "SELECT a FROM there_and_back WHERE a = %(a)s", {"a": pl.String}, {"a": 'x,"y\n'})
        assert one.to_series().to_list() == ['x,"y\n']
        assert read_frame(conn, "SELECT a FROM there_and_back WHERE a IS NULL", {"a": pl.String}).height == 1
        assert read_frame(conn, "SELECT a FROM there_and_back WHERE false", {"a": pl.String}).height == 0


@pytest.mark.postgres_versions
def test_no_text_is_mistaken_for_the_format_it_travels_in(engine: sa.Engine) -> None:
    """What means something to COPY (null, end of data, tabs, line ends, backslashes) arrives as the text it is, alone in its line too."""
    odd = ["\\.", "\\N", "\\\\N", "\t", "\r\n", "\\", "\\t", "a\\", "\\x41", "", " ", '"', "\x1e\x1f", "\u2028ä", None]
    kinds = pl.Series(["\\.", None, "b"] * 5, dtype=pl.Enum(["\\.", "b"]))
    table = sa.Table("odd_text", sa.MetaData(), sa.Column("a", sa.Text), sa.Column("b", sa.Text))
    with writing(engine) as conn:
        driver(conn).execute("CREATE TEMP TABLE odd_text (n serial, a text, b text)")
        assert copy_frame(conn, table, pl.DataFrame({"a": odd})) == len(odd)
        assert copy_frame(conn, table, pl.DataFrame({"a": odd, "b": kinds})) == len(odd)
        found = driver(conn).execute("SELECT a, b FROM odd_text ORDER BY n").fetchall()
    assert [a for a, _ in found] == odd * 2
    assert [b for _, b in found] == [None] * len(odd) + kinds.to_list()


def test_a_broken_copy_is_an_ordinary_database_error(engine: sa.Engine) -> None:
    """COPY raises what any other statement would, so one handler serves both."""
    frame = pl.concat([_rows([Decimal(1)], AMOUNT)] * 2)
    with pytest.raises(sa.exc.IntegrityError), writing(engine) as conn:
        copy_frame(conn, RATE, frame)
    with reading(engine) as conn, pytest.raises(sa.exc.DBAPIError, match="read-only"):
        copy_frame(Writing(conn), RATE, frame)
