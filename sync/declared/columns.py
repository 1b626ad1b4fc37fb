"""The text of a record's columns -> typed columns, and a list of what can't be read. Pure and vectorised; nothing is guessed."""

from __future__ import annotations

import re

import polars as pl

from sync.declared.declaration import Column, Declaration
from sync.declared.fields import DTYPES
from sync.declared.records import Records, raw

PROBLEM_SCHEMA = pl.Schema(
    {"ordinal": pl.Int64(), "column": pl.String(), "cause": pl.String(), "message": pl.String(), "text": pl.String()}
)
_CAUSES = {"amount": "bad_amount", "date": "bad_date", "time": "bad_time", "integer": "bad_value", "flag": "bad_value"}
_DAY_FORMAT = re.compile(r"(%[dmY])([^%A-Za-z0-9]?)(%[dmY])([^%A-Za-z0-9]?)(%[dmY])")
_FITTING = r"^[+-]?0*\d{1,15}(\.\d{1,4}0*)?$"


def typed(records: Records, declaration: Declaration, zone: str | None) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(`ordinal` and each column as its declared type, the problems found as a frame of PROBLEM_SCHEMA).

    `zone`: the connection's zone for local times. A value that can't be read is null in the first and named in the second.
    """
    frame = records.lines.select(
        "ordinal",
        *(pl.col(raw(name)) for name in declaration.columns),
        *(
            expression(pl.col(raw(name)), column, declaration, column.zone or zone).alias(name)
            for name, column in declaration.columns.items()
        ),
    )
    problems = [_unread(frame, name, column) for name, column in declaration.columns.items()]
    lines = records.broken.select("ordinal", column=pl.lit(""), cause=pl.lit("malformed_record"), message="message", text="text")
    return frame, pl.concat([lines.cast(PROBLEM_SCHEMA), *problems])


def _unread(frame: pl.DataFrame, name: str, column: Column) -> pl.DataFrame:
    """The problems of one column: required and absent, or present and not readable as its type."""
    text = pl.col(raw(name))
    unread = text.is_not_null() & pl.col(name).is_null()
    absent = text.is_null() if column.required else pl.lit(False)
    cause = _CAUSES.get(column.type, "bad_value")
    kind_of = "a time in its formats and zone" if column.type == "time" else f"a {column.type}"
    return frame.filter(unread | absent).select(
        "ordinal",
        column=pl.lit(name),
        cause=pl.when(text.is_null()).then(pl.lit("missing_field")).otherwise(pl.lit(cause)),
        message=pl.when(text.is_null()).then(pl.lit(f"{name} is empty")).otherwise(pl.format(f"{name} {{}} is not {kind_of}", text)),
        text=text,
    )


def expression(text: pl.Expr, column: Column, declaration: Declaration, zone: str | None) -> pl.Expr:
    """`text` as the type of `column`; null where it can't be read exactly."""
    if column.type == "amount":
        return amount(
            text,
            decimal=column.decimal or declaration.decimal,
            thousands=declaration.thousands if column.thousands is None else column.thousands or None,
            trailing_minus=declaration.trailing_minus if column.trailing_minus is None else column.trailing_minus,
            implied_decimals=column.implied_decimals or 0,
        )
    if column.type == "integer":
        return pl.when(text.str.contains(r"^[+-]?\d{1,18}$")).then(text.str.strip_prefix("+")).otherwise(None).cast(pl.Int64, strict=False)
    if column.type == "flag":
        return pl.when(text.is_in(column.true)).then(True).when(text.is_null() | text.is_in(column.false)).then(False).otherwise(None)
    if column.type == "date":
        return pl.coalesce([day(text, one) for one in column.formats])
    if column.type == "time":
        return pl.coalesce([moment(text, one, zone, column.ambiguous) for one in column.formats])
    if column.alpha is not None:
        return pl.when(text.str.contains(r"^[0-9]+$")).then(text.str.zfill(column.alpha)).otherwise(text)
    return text


def amount(text: pl.Expr, *, decimal: str, thousands: str | None, trailing_minus: bool, implied_decimals: int = 0) -> pl.Expr:
    """Amount text as Decimal(19, 4), exactly. Grouping has to be right: with '.' for thousands '1.50' is no amount.

    With `implied_decimals` the last so many digits are decimals; text with a decimal mark is then no amount. An amount in parentheses is
    negative, as accountants write it.
    """
    point = re.escape(decimal)
    digits = r"\d+"
    if thousands is not None:
        digits = rf"(?:\d{{1,3}}(?:{re.escape(thousands)}\d{{3}})+|\d+)"
    sign = r"(?:[+-]?{0}|{0} ?[+-]|\({0}\))" if trailing_minus else r"(?:[+-]?{0}|\({0}\))"
    shape = "^" + sign.format(rf"{digits}(?:{point}\d+)?") + "$"
    plain = text.str.replace_all(thousands, "", literal=True) if thousands is not None else text
    if decimal != ".":
        plain = plain.str.replace(decimal, ".", literal=True)
    plain = plain.str.replace(r"^\((.*)\)$", "-${1}")
    if trailing_minus:
        plain = plain.str.replace(r"^(.*?) ?([+-])$", "${2}${1}")
    fits = text.str.contains(shape) & plain.str.contains(_FITTING)
    if implied_decimals:
        digits_only = text.str.contains("^" + sign.format(r"\d+") + "$")
        whole = plain.str.extract(r"^[+-]?(\d+)$").str.zfill(implied_decimals + 1)
        negative = pl.when(plain.str.starts_with("-")).then(pl.lit("-")).otherwise(pl.lit(""))
        plain = negative + whole.str.head(-implied_decimals) + "." + whole.str.tail(implied_decimals)
        fits = digits_only & plain.str.contains(_FITTING)
    # Zeros beyond the fourth decimal carry nothing, and the cast would round only what they don't hide.
    return pl.when(fits).then(plain.str.strip_prefix("+")).otherwise(None).cast(DTYPES["amount"], strict=False)


def day(text: pl.Expr, form: str) -> pl.Expr:
    """Date text in the strptime format `form` as a date; day and month may come without their leading zero."""
    parts = _DAY_FORMAT.fullmatch(form)
    if parts is None or len({parts[1], parts[3], parts[5]}) != 3:
        return text.str.to_date(form, strict=False)
    groups = {"%d": r"\d{1,2}", "%m": r"\d{1,2}", "%Y": r"\d{4}"}
    if not (parts[2] and parts[4]):
        groups = {"%d": r"\d{2}", "%m": r"\d{2}", "%Y": r"\d{4}"}
    shape = f"^({groups[parts[1]]}){re.escape(parts[2])}({groups[parts[3]]}){re.escape(parts[4])}({groups[parts[5]]})$"
    place = {parts[1]: 1, parts[3]: 2, parts[5]: 3}

    def part(of: str, width: int) -> pl.Expr:
        return text.str.extract(shape, place[of]).str.zfill(width)

    iso = pl.concat_str(part("%Y", 4), part("%m", 2), part("%d", 2), separator="-")
    return iso.str.to_date("%Y-%m-%d", strict=False)


def moment(text: pl.Expr, form: str, zone: str | None, ambiguous: str) -> pl.Expr:
    """Time text in the strptime format `form` as UTC. Local times are of `zone`; one that a clock change skips is null,
    one that it repeats is null too, unless `ambiguous` says which of the two is meant.
    """
    utc = DTYPES["time"]
    if "%z" in form:
        return text.str.to_datetime(form, time_unit="us", strict=False).cast(utc)
    local = text.str.to_datetime(form, time_unit="us", strict=False)
    meant: pl.Expr = pl.lit("null" if ambiguous == "reject" else ambiguous)
    return local.dt.replace_time_zone(zone or "UTC", ambiguous=meant, non_existent="null").dt.convert_time_zone("UTC")
