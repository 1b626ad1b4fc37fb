"""Condition monitoring of drives, which the American company sells by subscription: its own customers, billed month by month.

No other system tells of them: neither an ERP nor the CRM knows these customers, and what they pay by card is among the operating
account's takings. Its life follows from the seed and the calendar alone, so it disturbs nobody else's and needs no memory.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any

from sandbox.world.engine import World, at_hour
from sandbox.world.model import ZERO
from sandbox.world.reference import LEGAL_ENTITIES

SYSTEM = "subscriptions"
ENTITY = LEGAL_ENTITIES["US01"]
CURRENCY = ENTITY.currency
HISTORY_DAYS = 400
NAMES = (
    "Juniper Ridge Brewing", "Copperline Dairy", "Saltmarsh Ferries", "Northgate Elevators", "Bluestem Grain", "Harbor & Pine Lumber",
    "Ironwood Conveyors", "Mesa Verde Bottling", "Falls City Paper", "Tidewater Cold Storage", "Wagon Wheel Feeds", "Sierra Crest Water",
    "Pelican Bay Seafood", "Old Mill Bakeries", "Cedar Flats Quarry", "Lone Star Ginning", "Evergreen Pellets", "Two Rivers Laundry",
    "Stonebridge Malting", "Palmetto Carton", "Chinook Ski Lifts", "Delta Rice Mills", "Orchard Hill Cider", "Maple Run Creamery",
    "Bayou Sugar", "Great Basin Lithium", "Hudson Cement", "Klamath Hatcheries", "Ozark Poultry", "Prairie Wind Services",
)  # fmt: skip
PLANS = (("Essential", Decimal("39.00")), ("Plus", Decimal("59.50")), ("Premier", Decimal("88.90")))
REASONS = ("sensor_offline", "wrong_quantity", "double_charge")


@dataclass(frozen=True, slots=True)
class Subscriber:
    """A customer of the service: so many drives on a plan, billed on a day of the month, and how it pays."""

    id: str
    code: str
    name: str
    country: str
    terms: int
    plan: str
    price: Decimal
    drives: int
    since: datetime
    day: int
    late_share: float


@dataclass(frozen=True, slots=True)
class Bill:
    """An invoice over a month. `paid_at`, `void_at`, `disputed_at` and `settled_at` (the end of a dispute) are moments, UTC, or None."""

    id: str
    number: str
    subscriber: Subscriber
    created_at: datetime
    due: date
    until: date
    total: Decimal
    payment: str
    paid_at: datetime | None
    void_at: datetime | None = None
    disputed_at: datetime | None = None
    settled_at: datetime | None = None
    reason: str | None = None

    def changed_at(self, now: datetime) -> datetime:
        """When it last changed, as seen at a moment."""
        moments = (self.created_at, self.paid_at, self.void_at, self.disputed_at, self.settled_at)
        return max(moment for moment in moments if moment is not None and moment <= now)

    def status(self, now: datetime) -> str:
        """open, paid or void at a moment."""
        if self.void_at is not None and self.void_at <= now:
            return "void"
        return "paid" if self.paid_at is not None and self.paid_at <= now else "open"

    def disputed(self, now: datetime) -> bool:
        """Whether the customer contests it at a moment."""
        return self.disputed_at is not None and self.disputed_at <= now and (self.settled_at is None or now < self.settled_at)


def subscribers(world: World) -> list[Subscriber]:
    """Who subscribes by the world's moment, in the order of their coming."""
    return [one for one in _everyone(world.seed, _first_day(world)) if one.since <= world.now]


def bills(world: World) -> list[Bill]:
    """Every invoice by the world's moment, in order of time."""
    now, found = world.now, []
    for place, one in enumerate(_everyone(world.seed, _first_day(world))):
        for month in range((now.year - one.since.year) * 12 + now.month - one.since.month + 1):
            bill = _bill(world.seed, _first_day(world), place, month)
            if bill.created_at <= now:
                found.append(bill)
    return sorted(found, key=lambda bill: (bill.created_at, bill.id))


def totals(world: World) -> list[dict[str, Any]]:
    """The truth of the invoices, told as that of the ERPs' is."""
    found = bills(world)
    due = [bill.total for bill in found if bill.status(world.now) == "open"]
    return [
        {"legal_entity": ENTITY.code, "company_code": ENTITY.company_code, "currency": CURRENCY, "kind": "F2", "system": SYSTEM,
         "count": len(found), "gross": f"{sum((bill.total for bill in found), ZERO):f}", "open": f"{sum(due, ZERO):f}",
         "open_count": len(due), "disputed": sum(bill.disputed(world.now) for bill in found),
         "cancelled": sum(bill.status(world.now) == "void" for bill in found)}
    ]  # fmt: skip


def customers(world: World) -> list[dict[str, Any]]:
    """The subscribers, told as the ERPs' customers are."""
    return [
        {"customer": one.id, "name": one.name, "legal_entity": ENTITY.code, "system": SYSTEM, "currency": CURRENCY, "terms": one.terms,
         "crm_number": None} for one in subscribers(world)
    ]  # fmt: skip


def _first_day(world: World) -> date:
    return world.live_from.date() - timedelta(days=HISTORY_DAYS)


@lru_cache(maxsize=16)
def _everyone(seed: int, first: date) -> tuple[Subscriber, ...]:
    """All subscribers there will be: two thirds from the beginning on, the others one after another."""
    rng = random.Random(f"subscribers:{seed}:{first}")
    found = []
    for place, name in enumerate(NAMES):
        plan, price = rng.choice(PLANS)
        joined = first + timedelta(days=rng.randrange(28) if place < len(NAMES) * 2 // 3 else rng.randrange(28, HISTORY_DAYS + 60))
        found.append(
            Subscriber(
                id=f"cus_{rng.getrandbits(48):012x}", code=f"{rng.getrandbits(32):08X}", name=name, country="CA" if place % 6 == 5 else "US",
                terms=rng.choice((14, 30, 30)), plan=plan, price=price, drives=round(12 * rng.lognormvariate(0, 0.8)) + 2,
                since=at_hour(joined, rng.uniform(13, 22)).replace(microsecond=0), day=min(joined.day, 28), late_share=rng.uniform(0, 0.45),
            )
        )  # fmt: skip
    return tuple(sorted(found, key=lambda one: one.since))


@lru_cache(maxsize=8192)
def _bill(seed: int, first: date, place: int, month: int) -> Bill:
    """The invoice of a subscriber's n-th month. One in fifty is made void, one in thirty is contested, one in thirty is paid very late."""
    one = _everyone(seed, first)[place]
    rng = random.Random(f"subscription:{seed}:{one.id}:{month}")
    day, after = _in_month(one, month), _in_month(one, month + 1)
    created = max(one.since, at_hour(day, rng.uniform(6, 20)).replace(microsecond=0))
    due = created.date() + timedelta(days=one.terms)
    fate, lag = rng.random(), rng.randint(0, 5) - rng.randint(0, one.terms)
    if rng.random() < one.late_share:
        lag = 1 + round(rng.expovariate(1 / 9))
    paid_on = due + timedelta(days=rng.randint(40, 80) if fate > 0.97 else lag)
    paid_at = max(created + timedelta(hours=2), at_hour(paid_on, rng.uniform(12, 23)).replace(microsecond=0))
    disputed_at = settled_at = reason = None
    if 0.02 <= fate < 0.053:
        disputed_at, reason = created + timedelta(hours=rng.randint(20, 120)), rng.choice(REASONS)
        settled_at = disputed_at + timedelta(hours=rng.randint(70, 400))
        paid_at = max(paid_at, settled_at + timedelta(hours=rng.randint(5, 60)))
    void_at = created + timedelta(hours=rng.randint(1, 40)) if fate < 0.02 else None
    extra = Decimal(rng.randrange(0, 4000)).scaleb(-2) if rng.random() < 0.4 else ZERO
    return Bill(
        id=f"in_{rng.getrandbits(64):016x}", number=f"{one.code}-{month + 1:04d}", subscriber=one, created_at=created, due=due, until=after,
        total=one.price * one.drives + extra, payment=f"pay_{rng.getrandbits(64):016x}", paid_at=None if void_at else paid_at, void_at=void_at,
        disputed_at=disputed_at, settled_at=settled_at, reason=reason,
    )  # fmt: skip


def _in_month(one: Subscriber, month: int) -> date:
    years, number = divmod(one.since.month - 1 + month, 12)
    return date(one.since.year + years, number + 1, one.day)
