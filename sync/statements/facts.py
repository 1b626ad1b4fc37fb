"""Statements into canonical facts: pure. A file lands whole or not at all, so the first thing that can't be read refuses it, with evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, Self
from zoneinfo import ZoneInfo

import polars as pl

from sync.connections import Connection, Landscape, LegalEntity
from sync.errors import DataError
from sync.ports import ControlTotal, Mapped, no_rejects
from sync.statements.camt import Balance, Detail, Entry, Statement, statements
from sync.statements.verdicts import CLOSING, OPENING, Reckoned, balances, chains

BALANCE_TYPES = {
    "OPBD": "opening_booked",
    "PRCD": "opening_booked",
    "CLBD": "closing_booked",
    "CLAV": "available",
    "ITAV": "available",
    "ITBD": "intraday",
    "FWAV": "forward_available",
}
_NOBODY: list[Detail | None] = [None]
_SIGNS = {"CRDT": 1, "DBIT": -1}
_MONEY = pl.Decimal(19, 4)
_COMMON: dict[str, Any] = {
    "ordinal": pl.Int64,
    "source_key": pl.String,
    "source_version": pl.Int64,
    "legal_entity": pl.String,
    "region": pl.String,
    "changed_at": pl.Datetime("us", "UTC"),
    "is_deleted": pl.Boolean,
}
SCHEMAS: dict[str, dict[str, Any]] = {
    "bank_account": {"iban": pl.String, "other_id": pl.String, "bank": pl.String, "name": pl.String, "currency": pl.String},
    "bank_balance": {"account": pl.String, "balance_type": pl.String, "as_of_date": pl.Date, "amount": _MONEY, "currency": pl.String},
    "bank_transaction": {
        "account": pl.String, "statement_id": pl.String, "entry_reference": pl.String, "booking_date": pl.Date, "value_date": pl.Date,
        "amount": _MONEY, "currency": pl.String, "counterparty_name": pl.String, "counterparty_account": pl.String,
        "remittance": pl.String, "end_to_end_id": pl.String, "structured_reference": pl.String, "bank_code": pl.String,
        "is_reversal": pl.Boolean, "return_reason": pl.String,
    },
    "payment": {
        "reference": pl.String, "customer_key": pl.String, "amount": _MONEY, "currency": pl.String, "value_date": pl.Date,
        "received_at": pl.Datetime("us", "UTC"), "bank_account": pl.String, "status": pl.String, "reason": pl.String,
        "end_to_end_id": pl.String,
    },
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Owners:
    """Whose accounts these are. `accounts`: account id -> legal entity code, as configured; `entities`: those the connection
    speaks for; `zone`: for stamps that name none.
    """

    connection: str
    region: str
    accounts: Mapping[str, str]
    entities: Sequence[LegalEntity]
    zone: str | None

    @classmethod
    def of(cls, connection: Connection, landscape: Landscape) -> Self:
        """The owners as `connection` names them: option `accounts`, its legal entities, its zone."""
        entities = [entity for entity in landscape.legal_entities if entity.code in connection.legal_entities]
        return cls(connection.name, connection.region, dict(connection.options.get("accounts", {})), entities, connection.zone)

    def entity(self, account: str, currency: str | None) -> LegalEntity | None:
        """The configured owner of `account`; else the connection's only entity, or its only one of that currency."""
        code = self.accounts.get(account)
        if code is not None:
            return next((entity for entity in self.entities if entity.code == code), None)
        fitting = self.entities if len(self.entities) == 1 else [one for one in self.entities if one.currency == currency]
        return fitting[0] if len(fitting) == 1 else None


def reckon(statement: Statement) -> Reckoned:
    """The statement's figures, exact and signed. Raises DataError (bad_amount, bad_date) naming the entry."""
    opening = next((one for code in OPENING for one in statement.balances if one.code == code), None)
    closing = next((one for one in reversed(statement.balances) if one.code in CLOSING), None)
    currency = statement.currency or (closing or opening or Balance("", "", "", "", "")).currency
    booked = [entry for entry in statement.entries if entry.status in ("BOOK", "")]
    return Reckoned(
        account=statement.account,
        currency=currency,
        statement=statement.id,
        sequence=statement.sequence,
        opening=_signed(opening, statement) if opening else None,
        opening_date=_day(opening.date, statement) if opening else None,
        closing=_signed(closing, statement) if closing else None,
        closing_date=_day(closing.date, statement) if closing else None,
        booked=sum((_signed(entry, statement) for entry in booked if entry.currency == currency), Decimal(0)),
        booked_count=len(booked),
    )


def mapped(body: bytes, owners: Owners, chain: Mapping[str, Mapping[str, str]]) -> Mapped:
    """The file in canonical words; `chain` is the closing balance that each account's next statement has to follow.

    Raises DataError: file_unreadable, bad_amount, bad_date, bad_time, bad_value or balance_mismatch, each with its evidence.
    """
    found = statements(body)
    rows: dict[str, list[dict[str, Any]]] = {entity: [] for entity in SCHEMAS}
    totals: list[ControlTotal] = []
    ordinal = 0
    for statement in found:
        if not statement.account:
            raise _refuse("bad_value", "a statement names no account", statement)
        reckoned = reckon(statement)
        totals += _verdicts(statement, reckoned, chain)
        common = _envelope(statement, reckoned, owners)
        ordinal = _fill(rows, statement, common, reckoned.currency, ordinal)
    frames = {entity: pl.DataFrame(lines, schema={**_COMMON, **SCHEMAS[entity]}, orient="row") for entity, lines in rows.items() if lines}
    seen = {name: "text" for statement in found for name in statement.elements}
    return Mapped(records=ordinal, frames=frames, rejects=no_rejects(), control_totals=tuple(totals), fields_seen=seen)


def _verdicts(statement: Statement, reckoned: Reckoned, chain: Mapping[str, Mapping[str, str]]) -> list[ControlTotal]:
    balance = balances(reckoned)
    if balance is not None and not balance.agree:
        assert balance.declared_amount is not None and balance.computed_amount is not None  # noqa: S101, PT018  (both are set above)
        evidence = {
            "opening": str(reckoned.opening),
            "booked": str(reckoned.booked),
            "entries": reckoned.booked_count,
            "computed": str(balance.computed_amount),
            "declared": str(balance.declared_amount),
            "off_by": str(balance.declared_amount - balance.computed_amount),
            "currency": reckoned.currency,
        }
        raise _refuse(
            "balance_mismatch",
            f"opening plus entries differs from closing by {evidence['off_by']} {reckoned.currency}",
            statement,
            **evidence,
        )
    return [total for total in (balance, chains(reckoned, chain.get(statement.account))) if total is not None]


def _envelope(statement: Statement, reckoned: Reckoned, owners: Owners) -> dict[str, Any]:
    entity = owners.entity(statement.account, reckoned.currency)
    changed = _moment(statement, owners)
    return {
        "source_version": int(changed.timestamp() * 1000),
        "legal_entity": entity.code if entity else None,
        "region": entity.region if entity else owners.region,
        "changed_at": changed,
        "is_deleted": False,
    }


def _fill(rows: dict[str, list[dict[str, Any]]], statement: Statement, common: dict[str, Any], currency: str, ordinal: int) -> int:
    """Adds the statement's rows; returns the next free ordinal. The account is record 0 of its statement, then balances, then entries."""
    account = statement.account
    other = None if statement.iban else account
    about = {"iban": statement.iban, "other_id": other, "bank": statement.bank, "name": None, "currency": currency}
    rows["bank_account"].append({"ordinal": ordinal, "source_key": account, **common, **about})
    ordinal += 1
    for balance in statement.balances:
        day = _day(balance.date, statement)
        kind = BALANCE_TYPES.get(balance.code)
        if kind is not None:
            key = f"{account}|{kind}|{day.isoformat()}"
            value = {"account": account, "balance_type": kind, "as_of_date": day, "amount": _signed(balance, statement)}
            rows["bank_balance"].append({"ordinal": ordinal, "source_key": key, **common, **value, "currency": balance.currency})
        ordinal += 1
    keys: dict[str, int] = {}
    for number, entry in enumerate(statement.entries):
        if entry.status not in ("BOOK", ""):
            ordinal += 1
            continue
        stem = f"{account}|{statement.id}|{entry.reference or number}"
        keys[stem] = keys.get(stem, 0) + 1
        key = stem if keys[stem] == 1 else f"{stem}|{keys[stem]}"
        transaction = _transaction(statement, entry)
        rows["bank_transaction"].append({"ordinal": ordinal, "source_key": key, **common, **transaction})
        for position, payment in enumerate(_payments(statement, entry, transaction, common["changed_at"])):
            rows["payment"].append({"ordinal": ordinal, "source_key": key if not position else f"{key}#{position}", **common, **payment})
        ordinal += 1
    return ordinal


def _transaction(statement: Statement, entry: Entry) -> dict[str, Any]:
    amount = _signed(entry, statement)
    detail = entry.details[0] if len(entry.details) == 1 else None
    name, account = _counterparty(detail, amount)
    return {
        "account": statement.account,
        "statement_id": statement.id,
        "entry_reference": entry.reference,
        "booking_date": _day(entry.booking_date, statement) if entry.booking_date else None,
        "value_date": _day(entry.value_date, statement) if entry.value_date else None,
        "amount": amount,
        "currency": entry.currency,
        "counterparty_name": name,
        "counterparty_account": account,
        "remittance": " ".join(d.remittance for d in entry.details if d.remittance) or None,
        "end_to_end_id": _given(detail.end_to_end_id) if detail else None,
        "structured_reference": detail.structured_reference if detail else None,
        "bank_code": entry.bank_code,
        "is_reversal": entry.is_reversal,
        "return_reason": next((d.return_reason for d in entry.details if d.return_reason), None),
    }


def _payments(statement: Statement, entry: Entry, transaction: dict[str, Any], received_at: datetime) -> list[dict[str, Any]]:
    """Money that came in, or came in and went back: one payment per transaction of a batch, whose amounts must then add up."""
    returned = transaction["return_reason"]
    if (transaction["amount"] <= 0 and returned is None) or entry.is_reversal:
        return []
    parts = entry.details if len(entry.details) > 1 and all(d.amount for d in entry.details) else entry.details[:1]
    amounts = [abs(transaction["amount"])] if len(parts) <= 1 else [abs(_decimal(d.amount or "", statement)) for d in parts]
    if sum(amounts) != abs(transaction["amount"]):
        parts, amounts = entry.details[:1], [abs(transaction["amount"])]
    return [
        {
            "reference": (detail.structured_reference or detail.remittance or _given(detail.end_to_end_id)) if detail else None,
            "customer_key": None,
            "amount": amount,
            "currency": transaction["currency"],
            "value_date": transaction["value_date"] or transaction["booking_date"],
            "received_at": received_at,
            "bank_account": statement.account,
            "status": "returned" if returned else "settled",
            "reason": returned,
            "end_to_end_id": _given(detail.end_to_end_id) if detail else None,
        }
        for detail, amount in zip(parts or _NOBODY, amounts, strict=True)
    ]


def _counterparty(detail: Detail | None, amount: Decimal) -> tuple[str | None, str | None]:
    if detail is None:
        return None, None
    debtor, creditor = (detail.debtor, detail.debtor_account), (detail.creditor, detail.creditor_account)
    first, second = (debtor, creditor) if amount > 0 else (creditor, debtor)
    return first if first[0] or first[1] else second


def _given(end_to_end_id: str | None) -> str | None:
    return None if end_to_end_id in (None, "NOTPROVIDED", "NONREF") else end_to_end_id


def _signed(what: Balance | Entry, statement: Statement) -> Decimal:
    sign = _SIGNS.get(what.direction)
    if sign is None:
        raise _refuse("bad_value", f"CdtDbtInd is {what.direction!r}, neither CRDT nor DBIT", statement, amount=what.amount)
    return sign * _decimal(what.amount, statement)


def _decimal(text: str, statement: Statement) -> Decimal:
    try:
        amount = Decimal(text)
        exact = amount.is_finite() and amount == amount.quantize(Decimal("0.0001")) and abs(amount) < Decimal(10) ** 15
    except InvalidOperation:
        exact = False
    if not exact:
        raise _refuse("bad_amount", f"the amount {text!r} can't be read exactly", statement, amount=text)
    return amount


def _day(text: str, statement: Statement) -> date:
    try:
        return date.fromisoformat(text[:10])
    except ValueError as error:
        raise _refuse("bad_date", f"the date {text!r} does not exist", statement, date=text) from error


def _moment(statement: Statement, owners: Owners) -> datetime:
    """When the bank made the statement, UTC. A stamp without an offset counts in the connection's zone, or is refused."""
    text = statement.created or ""
    try:
        made = datetime.fromisoformat(text)
    except ValueError as error:
        raise _refuse("bad_time", f"the statement's time {text!r} can't be read", statement, time=text) from error
    if made.tzinfo is not None:
        return made.astimezone(UTC)
    zones = {owners.zone} if owners.zone else {entity.zone for entity in owners.entities}
    if len(zones) != 1:
        raise _refuse("bad_time", f"the time {text!r} names no zone: set `zone` on connection {owners.connection}", statement, time=text)
    zone = ZoneInfo(str(zones.pop()))
    placed = made.replace(tzinfo=zone)
    if placed.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != made:
        raise _refuse("bad_time", f"{text} does not exist in {zone.key}: the clocks went forward", statement, time=text)
    if placed.utcoffset() != made.replace(tzinfo=zone, fold=1).utcoffset():
        # Twice there in autumn: the later reading, so that nothing counts as known before it was.
        return (placed.astimezone(UTC) + timedelta(hours=1)).astimezone(UTC)
    return placed.astimezone(UTC)


def _refuse(cause: str, words: str, statement: Statement, **evidence: object) -> DataError:
    about = {"statement": statement.id, "account": statement.account, **evidence}
    return DataError(f"statement {statement.id or '?'} of account {statement.account or '?'}: {words}", cause=cause, evidence=about)
