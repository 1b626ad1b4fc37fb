"""Treasury's own cash flows: plans that firm up (ESTIMATED, CONFIRMED, ACTUAL) and the payments that leave the banks."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

from sandbox.world.engine import World, at_hour, bank_day, happening
from sandbox.world.model import ZERO, BankLine, CashFlow
from sandbox.world.reference import BANK_ACCOUNTS, SCALE, rounded


def new_flow(
    world: World,
    account: str,
    code: str,
    amount: Decimal,
    day: date,
    *,
    reference: str,
    status: str = "ESTIMATED",
    description: str = "",
    origin: str = "TREASURY",
    invoice: str | None = None,
) -> CashFlow:
    """A cash flow in the treasury system; amount signed, in the account's currency, expected on `day`."""
    flow = CashFlow(
        uuid=world.uuid("flow"), reference=reference, account=account, code=code, amount=amount,
        currency=BANK_ACCOUNTS[account].currency, status=status, transaction_date=day, value_date=day,
        created_at=world.now, changed_at=world.now, description=description, origin=origin, invoice=invoice,
    )  # fmt: skip
    world.flows[flow.uuid] = flow
    return flow


@happening
def plan_treasury(world: World) -> None:
    """Every morning the treasurer plans what leaves each account four weeks ahead: suppliers, wages, taxes."""
    world.later("plan_treasury", at=at_hour(world.now.date() + timedelta(days=1), 6))
    ahead = bank_day(world.now.date() + timedelta(days=28))
    if ahead != world.now.date() + timedelta(days=28):
        return
    for account in BANK_ACCOUNTS.values():
        incoming = sum(
            (line.amount for line in world.bank_lines[account.code][-60:]
             if line.amount > 0 and line.booked > world.now.date() - timedelta(days=28)), ZERO,
        )  # fmt: skip
        base = max(incoming / 4, Decimal(2_000) * SCALE[account.currency])
        plans = []
        if ahead.weekday() == 3:
            plans.append(("SUPPLIER", Decimal("-0.62")))
        if ahead.day == 25 or (ahead.weekday() == 4 and ahead.day in (23, 24)):
            plans.append(("PAYROLL", Decimal("-0.9")))
        if ahead.day == 10 or (ahead.weekday() == 0 and ahead.day in (11, 12)):
            plans.append(("TAX", Decimal("-0.35")))
        for code, share in plans:
            amount = rounded(base * share * Decimal(f"{world.rng.uniform(0.85, 1.15):.3f}"), account.currency)
            flow = new_flow(world, account.code, code, amount, ahead, reference=f"{code}-{account.code}-{ahead:%Y%m%d}")
            world.later("confirm_flow", flow.uuid, at=at_hour(ahead - timedelta(days=3), 10))
            world.later("execute_outflow", flow.uuid, at=at_hour(ahead, world.rng.uniform(9, 12)))


@happening
def confirm_flow(world: World, key: str) -> None:
    """An estimate becomes firm; its amount may move a little."""
    flow = world.flows[key]
    if flow.status != "ESTIMATED" or flow.deleted:
        return
    flow.status, flow.changed_at = "CONFIRMED", world.now
    if flow.amount < 0:
        flow.amount = rounded(flow.amount * Decimal(f"{world.rng.uniform(0.95, 1.06):.3f}"), flow.currency)


@happening
def execute_outflow(world: World, key: str) -> None:
    """A planned payment leaves the bank as it was instructed, and the flow becomes actual."""
    flow = world.flows[key]
    if flow.status == "ACTUAL" or flow.deleted:
        return
    day = bank_day(world.now.date())
    flow.status, flow.changed_at = "ACTUAL", world.now
    flow.transaction_date = flow.value_date = day
    world.book(
        BankLine(
            account=flow.account, reference=f"{flow.account[:4]}{day:%y%m%d}O{world.count('outflow'):06d}", booked=day,
            value_date=day, amount=flow.amount, counterparty=flow.code.title() + " run", end_to_end=flow.reference[:35],
            structured="", remittance=flow.reference, code="ICDT",
        )
    )  # fmt: skip


@happening
def forecast_receipt(world: World, number: str, expected: str) -> None:
    """Treasury expects the money of a larger invoice."""
    invoice = world.invoices[number]
    if invoice.open <= 0:
        return
    day = bank_day(max(date.fromisoformat(expected), world.now.date()))
    flow = new_flow(
        world, f"{invoice.entity}-{invoice.currency}", "CUSTOMER", invoice.open, day, reference=f"AR-{number}",
        description=world.customers[invoice.customer].name, invoice=number,
    )  # fmt: skip
    world.later("confirm_flow", flow.uuid, at=at_hour(day - timedelta(days=2), 10))
    world.counters[f"flow:{number}"] = len(world.flows)
    world.later("expire_receipt", flow.uuid, at=at_hour(day + timedelta(days=1), 9))


@happening
def expire_receipt(world: World, key: str) -> None:
    """Expected money did not come: the expectation moves a week."""
    flow = world.flows[key]
    if flow.status == "ACTUAL" or flow.deleted:
        return
    flow.status, flow.changed_at = "ESTIMATED", world.now
    day = bank_day(world.now.date() + timedelta(days=7))
    flow.transaction_date = flow.value_date = day
    world.later("expire_receipt", key, at=at_hour(day + timedelta(days=1), 9))


@happening
def realise_receipt(world: World, number: str, amount: Decimal) -> None:
    """A received payment makes treasury's expectation of it actual."""
    if f"flow:{number}" not in world.counters:
        return
    for flow in world.flows.values():
        if flow.invoice == number and flow.status != "ACTUAL" and not flow.deleted:
            flow.status, flow.amount, flow.changed_at = "ACTUAL", amount, world.now
            flow.transaction_date = flow.value_date = world.invoices[number].paid_on or world.now.date()
            return
