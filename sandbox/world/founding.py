"""How a world begins: customers, CRM accounts, treasury's calendar, and two years lived through in one go."""

from __future__ import annotations

import random
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal

from sandbox.world import cash, files, operating, receivables, sales, treasury
from sandbox.world.engine import World, salesforce_id
from sandbox.world.model import Account, Customer
from sandbox.world.reference import (
    BANK_ACCOUNTS,
    DAYS_LATE,
    FOREIGN,
    LATE_SHARE,
    LEGAL_ENTITIES,
    SCALE,
    TERMS,
    LegalEntity,
    company_name,
    quantile,
    reference_rates,
)

__all__ = ["cash", "files", "found", "operating", "receivables", "sales", "treasury"]

FILE_DAYS = 60
"""Bank statements of so many days before the opening are in the drop folder; older ones have been cleared away."""


def found(seed: int, opened_at: datetime, *, customers: int, history_days: int) -> World:
    """A world with `history_days` behind it, as it stands at `opened_at` (UTC). The same arguments give the same world."""
    opened_at = opened_at.astimezone(UTC).replace(microsecond=0)
    born = datetime.combine(opened_at.date() - timedelta(days=history_days), time(6), UTC)
    world = World(
        seed=seed,
        now=born,
        live_from=opened_at,
        rng=random.Random(seed),
        rates=reference_rates(born.date() - timedelta(days=10), opened_at.date()),
        files_from=max(born, opened_at - timedelta(days=FILE_DAYS)),
    )
    for entity, number in shares(customers).items():
        for ordinal in range(number):
            _customer(world, LEGAL_ENTITIES[entity], ordinal)
    in_crm = sum(1 for c in world.customers.values() if c.entity != "MX01")
    world.activation_every = timedelta(hours=3.2 * 136 / max(in_crm, 1))
    for account in BANK_ACCOUNTS:
        world.bank_lines[account] = []
        world.closings[account] = {}
    for kind in ("open_opportunity", "activate_next", "repeat_order", "legacy_order", "change_a_limit",
                 "close_the_day", "legacy_drop", "plan_treasury", "forget_a_draft"):  # fmt: skip
        world.later(kind, days=0.05)
    world.advance(opened_at)
    world.activation_every = timedelta(hours=3.2)
    return world


def shares(customers: int) -> dict[str, int]:
    """How many customers each legal entity has: by its share, at least one each."""
    total = sum(e.share for e in LEGAL_ENTITIES.values())
    counts = {code: max(1, customers * e.share // total) for code, e in LEGAL_ENTITIES.items()}
    counts["DE01"] += max(0, customers - sum(counts.values()))
    return counts


def _customer(world: World, entity: LegalEntity, ordinal: int) -> None:
    rng = world.rng
    legacy = entity.host == "legacy-latam"
    number = f"{70001 + ordinal:010d}" if legacy else f"{entity.customer_prefix}{ordinal + 1:05d}"
    foreign, share = FOREIGN.get(entity.code, ("", 0.0))
    currency = foreign if ordinal and rng.random() < share else entity.currency
    typical = Decimal(round(18_000 * rng.lognormvariate(0, 0.7))) * SCALE[currency]
    limit_currency = entity.currency
    limit = typical / SCALE[currency] * SCALE[limit_currency] * Decimal(round(rng.uniform(4, 12), 2))
    customer = Customer(
        number=number, name=company_name(entity.code, ordinal), entity=entity.code, country=_country(entity, rng),
        currency=currency, terms=_terms(rng), limit=_round_limit(limit), limit_currency=limit_currency, typical=typical,
        late_share=quantile(LATE_SHARE, rng.random()) / 100, days_late=quantile(DAYS_LATE, rng.random()),
        created_at=world.now, changed_at=world.now, credit_changed_at=world.now,
    )  # fmt: skip
    world.customers[number] = customer
    world.by_entity.setdefault(entity.code, []).append(number)
    world.open_invoices[number] = set()
    known = rng.random() >= 0.06 or ordinal == 0
    account = Account(
        id=salesforce_id("001", world.count("account", 4100)), name=customer.name, customer=number,
        erp_number=number if known else None, created_at=world.now, changed_at=world.now,
        owner=rng.choice(("A. Lindqvist", "M. Okafor", "P. Duarte", "R. Tanaka", "S. Weiss")),
        segment=rng.choice(("Enterprise", "Mid-market", "Small business")), country=customer.country, currency=currency,
    )  # fmt: skip
    world.accounts[account.id] = account


def _country(entity: LegalEntity, rng: random.Random) -> str:
    near = {"DE01": ("DE", "DE", "DE", "AT", "FR", "NL", "SE"), "SG01": ("SG", "SG", "MY", "ID"),
            "US01": ("US", "US", "US", "CA"), "GB01": ("GB", "GB", "GB", "IE")}  # fmt: skip
    return rng.choice(near.get(entity.code, (entity.country,)))


def _terms(rng: random.Random) -> int:
    u = rng.random()
    return next(days for share, days in TERMS if u < share)


def _round_limit(limit: Decimal) -> Decimal:
    step = Decimal(10) ** (limit.adjusted() - 1)
    return ((limit // step + 1) * step).quantize(Decimal(1))
