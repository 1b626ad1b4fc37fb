"""The operating account's life as Modern Treasury shows it. Every member of an object is there, as its description asks."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Any

from sandbox.modern_treasury.spec import spec
from sandbox.world import operating
from sandbox.world.engine import World, at_hour
from sandbox.world.model import ExpectedPayment
from sandbox.world.operating import ACCOUNT, Movement

Object = dict[str, Any]


def identity(kind: str, name: str) -> str:
    """The UUID of an object: the same for the same name."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"modern-treasury:{kind}:{name}"))


ACCOUNT_ID = identity("internal_account", ACCOUNT.code)
VENDOR_ID = identity("vendor", ACCOUNT.bank)


def moment(value: datetime) -> str:
    """A stamp as the API writes it."""
    return f"{value:%Y-%m-%dT%H:%M:%SZ}"


def minor(amount: Decimal) -> int:
    """An amount of the account's currency in cents."""
    return int(amount.scaleb(2))


@cache
def _blank(kind: str) -> Object:
    """Every required member of an object, empty: null where that is allowed, else the empty value of its type."""
    shape = spec()["components"]["schemas"][kind]
    empty: dict[str, Any] = {"array": [], "object": {}, "boolean": False, "string": "", "integer": 0}
    members = ((name, shape["properties"][name]) for name in shape["required"])
    return {name: None if part.get("nullable") or "$ref" in part else empty[part["type"]] for name, part in members}


def _object(kind: str, key: str, created: datetime, changed: datetime, **members: Any) -> Object:
    own = {"id": key, "object": kind, "live_mode": True, "created_at": moment(created), "updated_at": moment(changed)}
    blank = {name: value.copy() if isinstance(value, list | dict) else value for name, value in _blank(kind).items()}
    return {**blank, **own, **members}


def account(world: World) -> Object:
    """The account itself."""
    opened = at_hour(operating.first_day(world), 8)
    detail = _object("account_detail", identity("account_detail", ACCOUNT.code), opened, opened, account_number=ACCOUNT.number,
                     account_number_type="other", account_number_safe=ACCOUNT.number[-4:])  # fmt: skip
    bank = _object("connection", identity("connection", ACCOUNT.bank), opened, opened, vendor_id=VENDOR_ID, vendor_name="First Lakes Bank")
    address = _object("address", identity("address", ACCOUNT.code), opened, opened, line1="200 Lakeshore Drive", locality="Chicago", region="IL",
                      postal_code="60601", country="US")  # fmt: skip
    return _object(
        "internal_account", ACCOUNT_ID, opened, opened, account_type="checking", party_name="Meridian Drives Inc", party_type="business",
        party_address=address, name="Operating", account_details=[detail], connection=bank, currency=ACCOUNT.currency, status="active",
        external_id=ACCOUNT.code,
    )  # fmt: skip


def reports(world: World) -> list[Object]:
    """A report of each closed day, made the next morning, and one of today from noon on."""
    found = []
    for day, (opening, closing) in operating.closings(world).items():
        made = at_hour(day + timedelta(days=1), 5)
        if made <= world.now:
            kinds = (("opening_ledger", "010", opening), ("closing_ledger", "015", closing), ("closing_available", "045", closing))
            found.append(_report(day, "previous_day", made, kinds))
    noon = at_hour(world.now.date(), 12)
    if world.now >= noon:
        sofar = ACCOUNT.opening + sum((one.amount for one in operating.booked(world) if one.at <= noon), Decimal(0))
        found.append(_report(noon.date(), "intraday", noon, (("current_ledger", "030", sofar), ("current_available", "060", sofar))))
    return found


def _report(day: date, kind: str, made: datetime, balances: tuple[tuple[str, str, Decimal], ...]) -> Object:
    shown = [
        _object("balance", identity("balance", f"{day}:{name}"), made, made, amount=minor(amount), amount_string=str(minor(amount)),
                currency=ACCOUNT.currency, balance_type=name, vendor_code=code, vendor_code_type="bai2")
        for name, code, amount in balances
    ]  # fmt: skip
    time = f"{made:%H:%M:%S}Z"
    return _object("balance_report", identity("balance_report", f"{day}:{kind}"), made, made, balance_report_type=kind, as_of_date=str(day),
                   as_of_time=time, balances=shown, internal_account_id=ACCOUNT_ID)  # fmt: skip


def transactions(world: World) -> list[Object]:
    """What moved, and what is seen and will move today."""
    return [_transaction(world, one) for one in operating.movements(world) if not one.refused and one.seen_at <= world.now]


def _transaction(world: World, one: Movement) -> Object:
    posted = one.at <= world.now
    return _object(
        "transaction", transaction_id(one), one.seen_at, one.at if posted else one.seen_at, amount=minor(abs(one.amount)),
        amount_string=str(minor(abs(one.amount))), currency=ACCOUNT.currency, direction="credit" if one.amount > 0 else "debit",
        vendor_description=one.name.upper(), vendor_code=one.code, vendor_code_type="bai2", vendor_id=f"FLB{identity('vendor', one.key)[:12].upper()}",
        as_of_date=str(one.day), internal_account_id=ACCOUNT_ID, posted=posted, reconciled=posted, type="ach", details={"originator_name": one.name},
    )  # fmt: skip


def transaction_id(one: Movement) -> str:
    """The id of a movement's transaction."""
    return identity("transaction", one.key)


def expected_payments(world: World) -> list[Object]:
    """The takings that are expected, and what others have told to expect."""
    ours = [_takings(world, one) for one in operating.movements(world) if one.key.startswith("card") and one.planned_at <= world.now]
    return [*ours, *(_told(one) for one in world.expected.values())]


def _takings(world: World, one: Movement) -> Object:
    came = one.at <= world.now
    return _object(
        "expected_payment", identity("expected_payment", one.key), one.planned_at, one.at if came else one.planned_at,
        external_id=f"CARD-{one.day:%Y%m%d}", amount_lower_bound=minor(one.expected * 95 / 100), amount_upper_bound=minor(one.expected),
        direction="credit", internal_account_id=ACCOUNT_ID, type="ach", currency=ACCOUNT.currency, date_lower_bound=str(one.day),
        date_upper_bound=str(one.day + timedelta(days=1)), description=one.name, status="reconciled" if came else "unreconciled",
        amount_reconciled=minor(one.amount) if came else None, amount_reconciled_direction="credit" if came else None,
        amount_unreconciled=0 if came else minor(one.expected), amount_unreconciled_direction="credit",
        reconciliation_method="automatic" if came else None, transaction_id=transaction_id(one) if came else None,
    )  # fmt: skip


def _told(one: ExpectedPayment) -> Object:
    kept = {name: value for name, value in one.fields.items() if name in _blank("expected_payment")}
    return _object("expected_payment", one.id, one.created_at, one.changed_at, **{"status": "unreconciled", **kept})


def payment_orders(world: World) -> list[Object]:
    """The runs: asked for five days ahead, approved a day later, sent the evening before, completed when the money has moved."""
    return [_order(world, one) for one in operating.movements(world) if one.key.startswith("run") and one.planned_at <= world.now]


def _order(world: World, one: Movement) -> Object:
    stages = [("needs_approval", one.planned_at)]
    stages += [("denied", one.at)] if one.refused else [
        ("approved", at_hour(one.day - timedelta(days=4), 9)), ("processing", at_hour(one.day - timedelta(days=1), 16)), ("completed", one.at),
    ]  # fmt: skip
    status, changed = [stage for stage in stages if stage[1] <= world.now][-1]
    accounting: Mapping[str, Any] = {"account_id": None, "class_id": None}
    return _object(
        "payment_order", identity("payment_order", one.key), one.planned_at, changed, type="ach", amount=minor(-one.amount), direction="credit",
        priority="normal", originating_account_id=ACCOUNT_ID, receiving_account_id=identity("external_account", one.name),
        receiving_account_type="external_account", originating_account_type="internal_account", currency=ACCOUNT.currency, accounting=accounting,
        effective_date=str(one.day), description=one.name, ultimate_receiving_party_name=one.name, status=status,
        reconciliation_status="reconciled" if status == "completed" else "unreconciled",
        transaction_ids=[transaction_id(one)] if status == "completed" else [], counterparty_id=identity("counterparty", one.name),
    )  # fmt: skip


def incoming_payment_details(world: World) -> list[Object]:
    """The takings as their bank announces them: pending in the morning, completed when booked."""
    found = []
    for one in operating.movements(world):
        if one.key.startswith("card") and one.seen_at <= world.now:
            came = one.at <= world.now
            found.append(
                _object(
                    "incoming_payment_detail", identity("incoming_payment_detail", one.key), one.seen_at, one.at if came else one.seen_at,
                    internal_account_id=ACCOUNT_ID, type="ach", data={}, amount=minor(one.amount), currency=ACCOUNT.currency, direction="credit",
                    status="completed" if came else "pending", as_of_date=str(one.day), vendor_id=VENDOR_ID,
                    originating_routing_number_type="aba", reconciliation_status="reconciled" if came else "unreconciled",
                    transaction_id=transaction_id(one) if came else None, originating_party_name=one.name,
                )
            )  # fmt: skip
    return found
