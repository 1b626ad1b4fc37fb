"""Statements into canonical frames: pure, by column. One record for the account, then its balances, then its entries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl

from sync.canonical.checks import conform, violations
from sync.canonical.contracts import CONTRACTS
from sync.statements.collected import Collected
from sync.statements.exact import day_of, signed
from sync.statements.model import Statement, refuse
from sync.statements.owners import Owners
from sync.statements.stamps import made_at
from sync.statements.verdicts import Reckoned

BALANCE_TYPES = {
    "OPBD": "opening_booked",
    "PRCD": "opening_booked",
    "CLBD": "closing_booked",
    "CLAV": "available",
    "ITAV": "available",
    "ITBD": "intraday",
    "FWAV": "forward_available",
}
ENVELOPE: dict[str, Any] = {
    "source_version": pl.Int64, "legal_entity": pl.String, "region": pl.String, "changed_at": pl.Datetime("us", "UTC"),
    "is_deleted": pl.Boolean,
}  # fmt: skip
HELD_ROWS = 20_000
"""Rows that are held against their contract at a time, so that a large file takes little memory."""

_MONEY = pl.Decimal(19, 4)
_ACCOUNT: dict[str, Any] = {"iban": pl.String, "other_id": pl.String, "bank": pl.String, "name": pl.String, "currency": pl.String}
_BALANCE: dict[str, Any] = {"account": pl.String, "balance_type": pl.String, "as_of_date": pl.Date, "amount": _MONEY, "currency": pl.String}
_HEAD: dict[str, Any] = {"ordinal": pl.Int64, "source_key": pl.String, **ENVELOPE}


@dataclass(frozen=True, slots=True)
class Facts:
    """A file's frames and how many records it has."""

    frames: Mapping[str, pl.DataFrame]
    records: int
    legal_entities: Sequence[str | None]


def facts(collected: Collected, reckoned: Sequence[Reckoned], entries: pl.DataFrame, parts: pl.DataFrame, owners: Owners,
          received: datetime | None) -> Facts:  # fmt: skip
    """The statements in canonical words. Raises DataError where a row would break its contract: a file lands whole or not at all."""
    envelopes = [_envelope(statement, one, owners, received) for statement, one in zip(collected.statements, reckoned, strict=True)]
    bases: list[int] = []
    records = 0
    for statement, count in zip(collected.statements, collected.counts, strict=True):
        bases.append(records)
        records += 1 + len(statement.balances) + count
    frames = {
        "bank_account": _accounts(collected.statements, reckoned, envelopes, bases),
        "bank_balance": _balances(collected.statements, reckoned, envelopes, bases),
    }
    booked = _keyed(_kept(entries, pl.col("is_booked")), _table(collected.statements, reckoned, envelopes, bases))
    frames["bank_transaction"] = _transactions(booked)
    frames["payment"] = _payments(booked, parts)
    frames = {entity: frame for entity, frame in frames.items() if not frame.is_empty()}
    for entity, frame in frames.items():
        _hold(entity, frame, collected.statements, bases)
    return Facts(frames, records, [each["legal_entity"] for each in envelopes])


def _envelope(statement: Statement, reckoned: Reckoned, owners: Owners, received: datetime | None) -> dict[str, Any]:
    entity = owners.entity(statement.account, reckoned.currency)
    changed = made_at(statement, owners, received)
    return {
        "source_version": int(changed.timestamp() * 1000),
        "legal_entity": entity.code if entity else None,
        "region": entity.region if entity else owners.region,
        "changed_at": changed,
        "is_deleted": False,
    }


def _accounts(
    statements: Sequence[Statement], reckoned: Sequence[Reckoned], envelopes: Sequence[dict[str, Any]], bases: Sequence[int]
) -> pl.DataFrame:
    rows = [
        {
            "ordinal": base,
            "source_key": statement.account,
            **envelope,
            "iban": statement.iban,
            "other_id": None if statement.iban else statement.account,
            "bank": statement.bank,
            "name": statement.name,
            "currency": one.currency or None,
        }
        for statement, one, envelope, base in zip(statements, reckoned, envelopes, bases, strict=True)
    ]
    return pl.DataFrame(rows, schema={**_HEAD, **_ACCOUNT}, orient="row")


def _balances(
    statements: Sequence[Statement], reckoned: Sequence[Reckoned], envelopes: Sequence[dict[str, Any]], bases: Sequence[int]
) -> pl.DataFrame:
    rows: list[dict[str, Any]] = []
    for statement, one, envelope, base in zip(statements, reckoned, envelopes, bases, strict=True):
        taken: set[str] = set()
        places = sorted(range(len(statement.balances)), key=lambda at: statement.balances[at].code in ("PRCD", "ITAV"))
        for at in places:
            balance = statement.balances[at]
            kind = BALANCE_TYPES.get(balance.code)
            if kind == "closing_booked" and statement.kind == "report":
                kind = "intraday"  # a day that is not over has no closing balance
            if kind is None:
                continue  # a balance for information, or one that only the arithmetic needs
            amount, day = signed(balance, statement), day_of(balance.date, statement)
            key = f"{statement.account}|{kind}|{day}" + ("" if balance.currency == one.currency else f"|{balance.currency}")
            if key in taken:
                continue
            taken.add(key)
            value = {"account": statement.account, "balance_type": kind, "as_of_date": day, "amount": amount, "currency": balance.currency}
            rows.append({"ordinal": base + 1 + at, "source_key": key, **envelope, **value})
    return pl.DataFrame(rows, schema={**_HEAD, **_BALANCE}, orient="row").sort("ordinal")


def _table(
    statements: Sequence[Statement], reckoned: Sequence[Reckoned], envelopes: Sequence[dict[str, Any]], bases: Sequence[int]
) -> pl.DataFrame:
    """What the entries of a statement have in common. `same_as`: the first statement of the file that is the same one."""
    first: dict[tuple[object, ...], int] = {}
    same = [first.setdefault((each.account, each.id, each.sequence, each.page), at) for at, each in enumerate(statements)]
    return pl.DataFrame(
        [
            {
                "statement": at,
                "same_as": same[at],
                "is_final": one.is_final,
                "account": statement.account,
                "statement_id": statement.id or None,
                "own_currency": one.currency or None,
                "page": f"|p{statement.page}" if statement.page is not None and statement.page > 1 else "",
                "closing_date": one.closing_date,
                "first": base + 1 + len(statement.balances),
                **envelope,
            }
            for at, (statement, one, envelope, base) in enumerate(zip(statements, reckoned, envelopes, bases, strict=True))
        ],
        schema={"statement": pl.Int32, "same_as": pl.Int32, "is_final": pl.Boolean, "account": pl.String, "statement_id": pl.String, "own_currency": pl.String, "page": pl.String,
                "closing_date": pl.Date, "first": pl.Int64, **ENVELOPE},
        orient="row",
    )  # fmt: skip


def _keyed(entries: pl.DataFrame, table: pl.DataFrame) -> pl.DataFrame:
    """The entries with what their statement says, and with their keys.

    A key is made of what a report within the day, a notification and the closed statement say alike: account, booking date, direction,
    and the bank's reference or, without one, all of the entry's content. So an entry that is told three times is one record.
    """
    side = pl.when(pl.col("amount") < 0).then(pl.lit("D")).otherwise(pl.lit("C"))
    day = pl.coalesce("booking_date", "value_date", "closing_date")
    stem = pl.concat_str(
        "account", day.dt.to_string("%Y-%m-%d").fill_null(""), side, pl.col("ident").str.replace_all("#", "_", literal=True),
        separator="|",
    ) + pl.when(pl.col("ident").str.starts_with("~")).then("page").otherwise(pl.lit(""))  # fmt: skip
    keyed = _beside(entries, table).with_columns(
        stem.alias("source_key"),
        (pl.col("first") + pl.col("number")).alias("ordinal"),
        day.alias("booking_date"),
        pl.when(pl.col("currency") == "").then("own_currency").otherwise("currency").alias("currency"),
    )
    keyed = keyed.with_columns(pl.int_range(pl.len()).over("statement", "source_key").alias("place"))
    if table.height > 1:
        keyed = _apart_from_earlier(keyed)
    place = pl.col("place")
    return keyed.with_columns(pl.when(place == 0).then("source_key").otherwise(pl.concat_str("source_key", place + 1, separator="|")))


def _beside(entries: pl.DataFrame, table: pl.DataFrame) -> pl.DataFrame:
    """The entries with their statement's columns; of a single statement these are one value each."""
    if table.height != 1:
        return entries.join(table, on="statement", how="left", maintain_order="left")
    said = table.drop("statement").row(0, named=True)
    return entries.with_columns(pl.lit(value, dtype=table.schema[name]).alias(name) for name, value in said.items())


def _apart_from_earlier(keyed: pl.DataFrame) -> pl.DataFrame:
    """Entries that are alike in two closed statements are two entries, unless it is the same statement that came twice. In reports
    within the day they are one: each may tell again what the one before told.
    """
    own = ["source_key", "same_as"]
    closed = keyed.filter(pl.col("is_final") & (pl.col("statement") == pl.col("same_as")))
    counts = closed.group_by(own).len().sort("same_as")
    before = counts.with_columns((pl.col("len").cum_sum() - pl.col("len")).over("source_key").alias("before")).drop("len")
    found = keyed.join(before, on=own, how="left", maintain_order="left")
    shift = pl.when("is_final").then(pl.col("before").fill_null(0).cast(pl.Int64)).otherwise(0)
    return found.with_columns(pl.col("place") + shift).drop("before")


def _transactions(booked: pl.DataFrame) -> pl.DataFrame:
    own = [name for name in CONTRACTS["bank_transaction"].model_fields if name not in (*ENVELOPE, "source_key")]
    return booked.select(*_HEAD, *own)


def _payments(booked: pl.DataFrame, parts: pl.DataFrame) -> pl.DataFrame:
    """Money that came in, or came in and went back: one payment for each transaction of an entry, where their amounts add up to it."""
    reason = pl.col("return_reason")
    came = (
        pl.when("is_reversal").then(reason.is_not_null() & (pl.col("amount") < 0)).otherwise((pl.col("amount") > 0) | reason.is_not_null())
    )
    apart = _apart(booked, parts)
    whole = _kept(booked, came)
    if not apart.is_empty():
        whole = whole.join(apart.select("statement", "number").unique(), on=["statement", "number"], how="anti", maintain_order="left")
    found = whole.select(
        "ordinal", "source_key", *ENVELOPE, pl.col("payment_reference").alias("reference"), pl.col("amount").abs(), "currency",
        pl.coalesce("value_date", "booking_date").alias("value_date"), pl.col("account").alias("bank_account"),
        reason.alias("reason"), pl.col("payment_end_to_end").alias("end_to_end_id"),
    )  # fmt: skip
    if not apart.is_empty():
        found = pl.concat([found, _of_parts(booked, apart)]).sort("ordinal", maintain_order=True)
    status = pl.when(pl.col("reason").is_null()).then(pl.lit("settled")).otherwise(pl.lit("returned"))
    return found.with_columns(pl.col("changed_at").alias("received_at"), status.alias("status"))


def _kept(frame: pl.DataFrame, wanted: pl.Expr) -> pl.DataFrame:
    """The rows that are wanted. A filter that keeps them all would hold a large file twice."""
    mask = frame.select(wanted.alias("kept"))["kept"]
    return frame if mask.all() else frame.filter(mask)


def _apart(booked: pl.DataFrame, parts: pl.DataFrame) -> pl.DataFrame:
    """The transactions of those entries whose transactions say all that they need to stand for themselves."""
    if parts.is_empty():
        return parts
    side = pl.when(pl.col("amount") < 0).then(pl.lit("DBIT")).otherwise(pl.lit("CRDT"))
    own = ["statement", "number"]
    whole = booked.select(*own, "amount", "currency", side.alias("side"))
    joined = parts.join(whole, on=own, how="inner", maintain_order="left").with_columns(
        agrees=pl.col("part_amount").is_not_null()
        & (pl.col("part_currency").fill_null(pl.col("currency")) == pl.col("currency"))
        & (pl.col("part_direction").fill_null(pl.col("side")) == pl.col("side"))
    )
    adds_up = pl.col("part_amount").cast(pl.Decimal(38, 4)).sum().over(own) == pl.col("amount").abs().cast(pl.Decimal(38, 4))
    return joined.filter(pl.col("agrees").all().over(own) & adds_up).select(parts.columns)


def _of_parts(booked: pl.DataFrame, apart: pl.DataFrame) -> pl.DataFrame:
    own = ["statement", "number"]
    rows = apart.join(booked.drop("parts"), on=own, how="inner", maintain_order="left").filter(
        pl.when("is_reversal")
        .then(pl.col("part_reason").is_not_null() & (pl.col("amount") < 0))
        .otherwise((pl.col("amount") > 0) | pl.col("part_reason").is_not_null())
    )
    key = pl.when(pl.col("position") == 0).then("source_key").otherwise(pl.concat_str("source_key", "position", separator="#"))
    return rows.select(
        "ordinal", key.alias("source_key"), *ENVELOPE, pl.col("part_reference").alias("reference"), pl.col("part_amount").alias("amount"),
        "currency", pl.coalesce("value_date", "booking_date").alias("value_date"), pl.col("account").alias("bank_account"),
        pl.col("part_reason").alias("reason"), pl.col("part_end_to_end").alias("end_to_end_id"),
    )  # fmt: skip


def _hold(entity: str, frame: pl.DataFrame, statements: Sequence[Statement], bases: Sequence[int]) -> None:
    """Holds every row against its contract here, where the whole file can still be refused."""
    contract = CONTRACTS[entity]
    found = (violations(conform(part, contract), contract) for part in frame.iter_slices(HELD_ROWS))
    broken = next((each for each in found if not each.is_empty()), None)
    if broken is None:
        return
    row = broken.row(0, named=True)
    at = max(index for index, base in enumerate(bases) if base <= row["ordinal"])
    value = frame.filter(pl.col("ordinal") == row["ordinal"]).row(0, named=True)
    evidence = {name: str(value[name]) for name in ("source_key", "amount", "currency") if value.get(name) is not None}
    refuse(row["cause"], row["message"], statements[at], field=row["field"], **evidence)
