"""From a deal to a bill: opportunities, contracts, orders with their blocks, deliveries."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from sandbox.world.engine import World, happening, salesforce_id
from sandbox.world.model import Contract, Customer, Opportunity, Order
from sandbox.world.reference import LEGAL_ENTITIES, TRADE, rounded

CREDIT_BLOCK = "01"
STAGES = (("Prospecting", 10), ("Proposal/Price Quote", 50), ("Negotiation/Review", 75))


def account_of(world: World, customer: str) -> str:
    """The id of the CRM account that stands for an ERP customer."""
    found = next(account.id for account in world.accounts.values() if account.customer == customer)
    return world.merged.get(found, found)


def pick(world: World, *, legacy: bool = False) -> Customer:
    """A customer by chance: one of the legacy ERP, or one of the S/4 hosts."""
    while True:
        number = world.rng.choice(world.by_entity["MX01"] if legacy else list(world.customers))
        customer = world.customers[number]
        if (customer.entity == "MX01") == legacy:
            return customer


def deal_value(world: World, customer: Customer) -> tuple[Decimal, bool]:
    """What a deal with the customer is worth, and whether it goes beyond the customer's limit."""
    rng = world.rng
    if rng.random() < 0.07:
        value = customer.limit * Decimal(str(round(rng.uniform(1.02, 1.4), 2)))
        return rounded(world.convert(value, customer.limit_currency, customer.currency), customer.currency), True
    return rounded(customer.typical * Decimal(f"{rng.lognormvariate(0, 0.5):.4f}"), customer.currency), False


@happening
def open_opportunity(world: World) -> None:
    """A deal appears in the CRM; the next one will, too."""
    rng = world.rng
    world.later("open_opportunity", days=world.activation_every / timedelta(days=1) * 0.7 * rng.uniform(0.6, 1.4))
    new_opportunity(world)


def new_opportunity(world: World) -> Opportunity:
    """A deal with some customer, at its first stage; it moves on by itself."""
    rng = world.rng
    customer = pick(world)
    value, beyond = deal_value(world, customer)
    new = Opportunity(
        id=salesforce_id("006", world.count("opportunity", 5200)), account=account_of(world, customer.number),
        customer=customer.number, entity=customer.entity, name=f"{customer.name} - {rng.choice(TRADE)}",
        stage=STAGES[0][0], probability=STAGES[0][1], amount=value, currency=customer.currency,
        close=(world.now + timedelta(days=rng.randint(6, 20))).date(), created_at=world.now, changed_at=world.now,
    )  # fmt: skip
    world.opportunities[new.id] = new
    world.later("progress_opportunity", new.id, 1, beyond, days=rng.uniform(1, 4))
    return new


@happening
def progress_opportunity(world: World, key: str, step: int, beyond: bool) -> None:
    """A deal moves on a stage, and is won or lost at the end."""
    deal, rng = world.opportunities[key], world.rng
    if deal.deleted:
        return
    deal.changed_at = world.now
    if step < len(STAGES):
        deal.stage, deal.probability = STAGES[step]
        world.later("progress_opportunity", key, step + 1, beyond, days=rng.uniform(1, 4))
        return
    deal.close = world.now.date()
    if rng.random() < 0.26 or (len(world.awaiting) > 40 and rng.random() < 0.5):
        deal.stage, deal.probability = "Closed Lost", 0
        return
    deal.stage, deal.probability = "Closed Won", 100
    draft_contract(world, world.customers[deal.customer], deal.amount, beyond=beyond, opportunity=key)


def draft_contract(world: World, customer: Customer, value: Decimal, *, beyond: bool, opportunity: str | None = None) -> Contract:
    """A contract in Draft; it goes into approval by itself later."""
    new = Contract(
        id=salesforce_id("800", world.count("contract", 6300)), number=f"{world.count('contract_number', 0):08d}",
        account=account_of(world, customer.number), opportunity=opportunity, customer=customer.number,
        entity=customer.entity, status="Draft", value=value, currency=customer.currency, start=world.now.date(),
        months=world.rng.choice((6, 12, 12, 24)), created_at=world.now, changed_at=world.now, beyond=beyond,
    )  # fmt: skip
    world.contracts[new.number] = new
    world.contract_numbers[new.id] = new.number
    world.later("submit_contract", new.number, days=world.rng.uniform(0.3, 2))
    return new


@happening
def submit_contract(world: World, number: str) -> None:
    """A draft goes into approval, unless it has moved on already."""
    contract = world.contracts[number]
    if contract.status == "Draft" and not contract.deleted:
        contract.status, contract.changed_at = "InApproval", world.now
        world.awaiting.append(number)


@happening
def activate_next(world: World) -> None:
    """One of the contracts in approval is activated; the beat of the whole world."""
    world.later("activate_next", days=world.activation_every / timedelta(days=1))
    while len(world.awaiting) > 8:
        number = world.awaiting.pop(world.rng.randrange(len(world.awaiting)))
        if world.contracts[number].status == "InApproval":
            activate(world, number)
            return


def activate(world: World, number: str) -> Order:
    """Activates a contract: its order appears in the ERP, blocked for credit, and in the CRM. ValueError if it can't be."""
    contract = world.contracts[number]
    if contract.status == "Activated" or contract.deleted:
        raise ValueError(f"contract {number} is {'deleted' if contract.deleted else 'active already'}")
    contract.status, contract.activated_at = "Activated", world.now
    contract.start, contract.changed_at = world.now.date(), world.now
    if number in world.awaiting:
        world.awaiting.remove(number)
    customer = world.customers[contract.customer]
    order = place_order(world, customer, contract.value, reference=number, contract=number, block=CREDIT_BLOCK)
    contract.order = order.number
    if not world.live:
        world.later("clerk_release", order.number, days=world.rng.uniform(0.05, 0.8))
    return order


def place_order(world: World, customer: Customer, net: Decimal, *, reference: str, contract: str | None = None, block: str = "") -> Order:
    """An order in the customer's ERP; blocked orders wait with credit status B."""
    entity = LEGAL_ENTITIES[customer.entity]
    new = Order(
        number=str(world.count(f"order:{entity.host}", entity.order_base)), host=entity.host, entity=entity.code,
        customer=customer.number, contract=contract, reference=reference, net=net, currency=customer.currency,
        text=world.rng.choice(TRADE), created_at=world.now, changed_at=world.now,
        requested=(world.now + timedelta(days=world.rng.randint(3, 14))).date(), block=block,
        credit_status="B" if block else "A", episode=1 if block else 0,
    )  # fmt: skip
    world.orders[new.number] = new
    if contract is not None:
        new.crm_id = salesforce_id("801", world.count("crm_order", 7400))
        new.crm_changed_at = world.now
    if not block:
        world.later("deliver", new.number, days=world.rng.uniform(0.5, 4))
    return new


def lift_block(world: World, order: Order) -> bool:
    """Releases a blocked order; False when there was no block. Delivery follows by itself."""
    if not order.block:
        return False
    order.block, order.credit_status = "", "D"
    order.released_at = order.changed_at = world.now
    if order.delivery_status == "A":
        world.later("deliver", order.number, days=world.rng.uniform(0.4, 3))
    return True


def set_block(world: World, order: Order, reason: str) -> bool:
    """Blocks an order (again): a new episode; False when it was blocked with this reason already."""
    if order.block == reason:
        return False
    order.block, order.credit_status = reason, "B"
    order.episode += 1
    order.changed_at = world.now
    return True


@happening
def clerk_release(world: World, number: str) -> None:
    """Before the opening, people at the credit desk release orders by hand."""
    lift_block(world, world.orders[number])


@happening
def repeat_order(world: World) -> None:
    """A known customer orders again without a contract; the ERP's own check lets it pass."""
    world.later("repeat_order", days=world.rng.uniform(1, 4) * (world.activation_every / timedelta(hours=3.2)))
    customer = pick(world)
    net = rounded(customer.typical * Decimal("0.4"), customer.currency)
    place_order(world, customer, net, reference=f"PO-{world.count('purchase_order', 880000)}")


@happening
def legacy_order(world: World) -> None:
    """The legacy ERP's customers order by themselves; nobody's CRM is asked."""
    world.later("legacy_order", days=world.rng.uniform(0.8, 3) * min(24 / len(world.by_entity["MX01"]), 6))
    customer = pick(world, legacy=True)
    net = rounded(customer.typical * Decimal(f"{world.rng.lognormvariate(0, 0.4):.4f}"), customer.currency)
    place_order(world, customer, net, reference=f"OC-{world.count('purchase_order', 880000)}")


@happening
def deliver(world: World, number: str) -> None:
    """Goods leave; the bill follows."""
    order = world.orders[number]
    if order.delivery_status == "C" or order.block:
        return
    order.delivery_status, order.delivered_at, order.changed_at = "C", world.now, world.now
    world.later("bill", number, days=world.rng.uniform(0.05, 1.2))


@happening
def forget_a_draft(world: World) -> None:
    """Now and then a draft contract is deleted in the CRM (it stays in the recycle bin)."""
    world.later("forget_a_draft", days=world.rng.uniform(4, 12))
    drafts = [c for c in world.contracts.values() if c.status == "Draft" and not c.deleted]
    if len(drafts) > 4:
        gone = world.rng.choice(drafts)
        gone.deleted, gone.changed_at = True, world.now
