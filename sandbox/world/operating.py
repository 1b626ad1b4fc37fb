"""The operating account of the American company at a second bank: card takings in, runs of payments out, planned and settled.

No other system reports it. Its life follows from the seed and the calendar alone, so it disturbs nobody else's and needs no memory;
what is written here are payments that others tell this account's platform to expect.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any

from sandbox.world.engine import World, at_hour
from sandbox.world.model import ZERO, ExpectedPayment
from sandbox.world.operations import Refused, log_write, operation
from sandbox.world.reference import BankAccount

ACCOUNT = BankAccount("US01-OPS", "US01", "USD", "FLBK", "FLBKUS33XXX", "US", None, "021000890123", Decimal("2400000"))
HISTORY_DAYS = 120
PAYEES = ("Lakeshore Freight", "Prairie Power & Light", "Summit Facilities", "Granite State Tax Office", "Keystone Payroll")


@dataclass(frozen=True, slots=True)
class Movement:
    """Money that comes or goes on a day: planned at `planned_at`, pending from `seen_at`, booked at `at`; all UTC, amount signed.

    `expected` is the sum that was planned. A refused one never moves: `at` is when it was refused.
    """

    key: str
    day: date
    planned_at: datetime
    seen_at: datetime
    at: datetime
    amount: Decimal
    expected: Decimal
    name: str
    code: str
    refused: bool = False


def movements(world: World) -> list[Movement]:
    """Everything on the account from its first day until a week ahead of the world's day, in order of time."""
    first, last = first_day(world), world.now.date() + timedelta(days=7)
    return [one for step in range((last - first).days + 1) for one in _day(world.seed, first + timedelta(days=step))]


def first_day(world: World) -> date:
    """The day on which the account was opened."""
    return world.live_from.date() - timedelta(days=HISTORY_DAYS)


@lru_cache(maxsize=4096)
def _day(seed: int, day: date) -> tuple[Movement, ...]:
    """What moves on one day. A weekend brings nothing."""
    if day.weekday() > 4:
        return ()
    rng = random.Random(f"operating:{seed}:{day}")
    takings = _cents(rng, 18_000, 62_000)
    found = [_moved(day, "card", 0, takings, _cents(rng, 0, 900), "Card takings", "195", rng)]
    if rng.random() < 0.12:
        found.append(_moved(day, "return", 0, -_cents(rng, 200, 1_900), ZERO, "Returned item", "555", rng))
    if day.weekday() == 3:
        found += [_moved(day, "run", n, -_cents(rng, 9_000, 48_000), ZERO, name, "495", rng) for n, name in enumerate(PAYEES[:3])]
    if day.day == 15 or (day.weekday() == 4 and day.day in (13, 14)):
        found.append(_moved(day, "run", 3, -_cents(rng, 30_000, 52_000), ZERO, PAYEES[3], "495", rng))
    if day.day == 28 or (day.weekday() == 4 and day.day in (26, 27)):
        found.append(_moved(day, "run", 4, -_cents(rng, 210_000, 260_000), ZERO, PAYEES[4], "455", rng))
    return tuple(sorted(found, key=lambda one: one.at))


def _moved(day: date, kind: str, number: int, amount: Decimal, short: Decimal, name: str, code: str, rng: random.Random) -> Movement:
    hour = rng.uniform(13.5, 19)
    refused = kind == "run" and rng.random() < 0.04
    return Movement(
        key=f"{kind}:{day}:{number}", day=day, planned_at=at_hour(day - timedelta(days=5), 10 + number), seen_at=at_hour(day, 9),
        at=at_hour(day - timedelta(days=4), 15) if refused else at_hour(day, hour).replace(microsecond=0),
        amount=amount - short, expected=amount, name=name, code=code, refused=refused,
    )  # fmt: skip


def _cents(rng: random.Random, low: int, high: int) -> Decimal:
    return Decimal(rng.randrange(low * 100, high * 100 + 1)).scaleb(-2)


def booked(world: World) -> list[Movement]:
    """What has moved by the world's moment."""
    return [one for one in movements(world) if not one.refused and one.at <= world.now]


def closings(world: World) -> dict[date, tuple[Decimal, Decimal]]:
    """Day -> (opening, closing) of every closed day: those before the world's own."""
    by_day: dict[date, Decimal] = {}
    for one in booked(world):
        by_day[one.day] = by_day.get(one.day, ZERO) + one.amount
    found: dict[date, tuple[Decimal, Decimal]] = {}
    balance, day = ACCOUNT.opening, first_day(world)
    while day < world.now.date():
        found[day] = (balance, balance + by_day.get(day, ZERO))
        balance, day = found[day][1], day + timedelta(days=1)
    return found


def balance(world: World) -> Decimal:
    """The booked balance now."""
    return ACCOUNT.opening + sum((one.amount for one in booked(world)), ZERO)


@operation
def expect_payment(world: World, *, payment: dict[str, Any], idempotency_key: str = "", request_id: str = "") -> dict[str, Any]:
    """Adds an expected payment. The same idempotency key is the same payment for a day; an external id is one payment's for ever."""
    for one in world.expected.values():
        if idempotency_key and one.idempotency_key == idempotency_key and world.now - one.created_at < timedelta(days=1):
            return {"id": one.id}
        if payment.get("external_id") and one.fields.get("external_id") == payment["external_id"]:
            raise Refused("conflict", "external_id has been taken", "external_id")
    new = ExpectedPayment(world.uuid("expected-payment"), dict(payment), world.now, world.now, idempotency_key)
    world.expected[new.id] = new
    log_write(
        world, ("modern-treasury", "create", "expected_payment", str(payment.get("external_id") or new.id)), {}, _told(payment), request_id
    )
    return {"id": new.id}


@operation
def change_expected(world: World, *, id: str, changes: dict[str, Any], request_id: str = "") -> dict[str, Any]:
    """Changes fields of an expected payment that was told; archived is one that is not expected any more."""
    one = world.expected[id]
    before = _told(one.fields)
    one.fields.update(changes)
    one.changed_at = world.now
    log_write(
        world,
        ("modern-treasury", "update", "expected_payment", str(one.fields.get("external_id") or id)),
        before,
        _told(one.fields),
        request_id,
    )
    return {"id": id}


def _told(fields: dict[str, Any]) -> dict[str, object]:
    names = ("external_id", "amount_lower_bound", "amount_upper_bound", "direction", "currency", "date_upper_bound", "status")
    return {name: fields.get(name) for name in names}
