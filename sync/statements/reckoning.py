"""The figures of every statement of a file: its balances against the sum of its entries, by currency."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

import polars as pl

from sync.statements.collected import Collected
from sync.statements.exact import day_of, signed
from sync.statements.model import Balance, Declared, Statement
from sync.statements.verdicts import CLOSING, OPENING, Pair, Reckoned

SUMMED_ROWS = 10_000
_NOTHING = (Decimal(0), 0)


@dataclass(frozen=True, slots=True)
class Sums:
    """Sums and numbers of the entries of a file. `booked` and `counters`: (statement, currency) -> sum and number; `sides`: (statement,
    direction) -> the same over all entries, pending ones too; `told`: (statement, direction, whether booked) -> sum and number of the
    entries, and the number of their transactions.
    """

    booked: Mapping[tuple[int, str], tuple[Decimal, int]]
    counters: Mapping[tuple[int, str, str], tuple[Decimal, int]]
    sides: Mapping[tuple[int, str], tuple[Decimal, int]]
    told: Mapping[tuple[int, str, bool], tuple[Decimal, int, int]]


def sums(entries: pl.DataFrame) -> Sums:
    """The sums over typed entries, exact; piece by piece, so that a large file takes little memory."""
    booked: dict[tuple[int, str], tuple[Decimal, int]] = {}
    counters: dict[tuple[int, str, str], tuple[Decimal, int]] = {}
    told: dict[tuple[int, str, bool], tuple[Decimal, int, int]] = {}
    side = pl.when("is_debit").then(pl.lit("DBIT")).otherwise(pl.lit("CRDT")).alias("side")
    for part in entries.with_columns(pl.col("currency").fill_null("")).iter_slices(SUMMED_ROWS):
        counted = part.filter("is_booked")
        _add(booked, counted, ["statement", "currency"], "amount")
        _add(
            counters,
            counted.filter(pl.col("counter_amount").is_not_null()),
            ["statement", "currency", "counter_currency"],
            "counter_amount",
        )
        _tell(told, part.with_columns(side, pl.col("amount").abs()))
    return Sums(booked, counters, _sides(told), told)


def _add(found: dict[Any, tuple[Decimal, int]], part: pl.DataFrame, by: list[str], amount: str) -> None:
    grouped = part.group_by(by).agg(pl.col(amount).cast(pl.Decimal(38, 4)).sum().alias("sum"), pl.len().alias("count"))
    for *key, total, count in grouped.iter_rows():
        before, counted = found.get(tuple(key), _NOTHING)
        found[tuple(key)] = (before + total, counted + count)


def _tell(told: dict[tuple[int, str, bool], tuple[Decimal, int, int]], part: pl.DataFrame) -> None:
    """An entry without transactions is one."""
    parts = pl.col("parts").clip(lower_bound=1).sum()
    grouped = part.group_by("statement", "side", "is_booked").agg(pl.col("amount").cast(pl.Decimal(38, 4)).sum(), pl.len(), parts)
    for statement, side, is_booked, amount, count, transactions in grouped.iter_rows():
        before = told.get((statement, side, is_booked), (Decimal(0), 0, 0))
        told[statement, side, is_booked] = (before[0] + amount, before[1] + count, before[2] + transactions)


def _sides(told: Mapping[tuple[int, str, bool], tuple[Decimal, int, int]]) -> dict[tuple[int, str], tuple[Decimal, int]]:
    found: dict[tuple[int, str], tuple[Decimal, int]] = {}
    for (statement, side, _), (amount, count, _) in told.items():
        before, counted = found.get((statement, side), _NOTHING)
        found[statement, side] = (before + amount, counted + count)
    return found


def reckon(collected: Collected, found: Sums) -> list[Reckoned]:
    """The figures of each statement, in the file's order. Raises DataError: bad_amount, bad_currency, bad_date, bad_value."""
    booked_counts: dict[int, int] = {}
    for (statement, _), (_, count) in found.booked.items():
        booked_counts[statement] = booked_counts.get(statement, 0) + count
    return [
        _one(at, statement, count, booked_counts.get(at, 0), found)
        for at, (statement, count) in enumerate(zip(collected.statements, collected.counts, strict=True))
    ]


def currency_of(statement: Statement) -> str:
    """The account's currency: its own word, else that of its closing or opening balance."""
    if statement.currency:
        return statement.currency
    named = [one.currency for codes in (CLOSING, OPENING) for one in statement.balances if one.code in codes]
    return named[0] if named else statement.balances[0].currency if statement.balances else ""


def _one(at: int, statement: Statement, entries: int, booked: int, found: Sums) -> Reckoned:
    own = currency_of(statement)
    declared = dict.fromkeys(one.currency for one in statement.balances if one.code in (*OPENING, *CLOSING))
    own = own if own in declared or not declared else next(iter(declared))
    pairs = tuple(_pair(at, statement, currency, declared, found) for currency in dict.fromkeys([own, *declared]))
    day = pairs[0].closing_date or pairs[0].opening_date
    if day is None and statement.created:
        day = _day_or_none(statement.created)
    return Reckoned(
        account=statement.account,
        statement=statement.id,
        subject=statement.subject,
        currency=own,
        is_final=statement.kind == "statement",
        sequence=_number(statement.sequence),
        page=statement.page,
        closing_date=day,
        entries=entries,
        pending=entries - booked,
        pairs=pairs,
    )


def _pair(at: int, statement: Statement, currency: str, declared: Mapping[str, None], found: Sums) -> Pair:
    mine = [one for one in statement.balances if one.currency == currency]
    opening = _first(mine, OPENING)
    closing = _first(mine[::-1], CLOSING)
    total, count = found.booked.get((at, currency), _NOTHING)
    blank_total, blank_count = found.booked.get((at, ""), _NOTHING) if currency == currency_of(statement) else _NOTHING
    total, count = total + blank_total, count + blank_count
    counter, countered, foreign = Decimal(0), 0, 0
    for (where, own, other), (value, number) in found.counters.items():
        if where == at and other == currency and own not in declared and own != "":
            counter, countered = counter + value, countered + number
    for (where, own), (_, number) in found.booked.items():
        if where == at and own not in declared and own not in ("", currency):
            foreign += number
    if not count and not countered and statement.declared and statement.format == "BAI2":
        total = _declared_sum(statement)
    return Pair(
        currency=currency,
        opening=signed(opening, statement) if opening else None,
        opening_date=day_of(opening.date, statement) if opening else None,
        closing=signed(closing, statement) if closing else None,
        closing_date=day_of(closing.date, statement) if closing else None,
        booked=total + counter,
        booked_count=count + countered,
        counter=counter,
        foreign=max(foreign - countered, 0),
    )


def _first(balances: list[Balance], codes: tuple[str, ...]) -> Balance | None:
    return next((one for code in codes for one in balances if one.code == code), None)


def _declared_sum(statement: Statement) -> Decimal:
    """What a file without single transactions says that came and went."""
    return sum((side(each) * Decimal(each.amount or 0) for each in statement.declared), Decimal(0))


def side(declared: Declared) -> int:
    """The sign of a declared sum."""
    return -1 if declared.direction == "DBIT" else 1


def _number(text: str | None) -> int | None:
    plain = (text or "").strip()
    return int(plain) if plain.isascii() and plain.isdigit() and len(plain) <= 18 else None


def _day_or_none(text: str) -> date | None:
    try:
        return date.fromisoformat(text[:10])
    except ValueError:
        return None
