"""What other systems and the control port may do to the world.

Each operation is named, takes JSON-able arguments and is journaled by name, so that a killed world can be brought back to the
same state.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from sandbox.world import sales
from sandbox.world.engine import World, salesforce_id
from sandbox.world.model import Account, CashFlow, Order, Write
from sandbox.world.treasury import new_flow

Operation = Callable[..., dict[str, Any]]
OPERATIONS: dict[str, Operation] = {}


class Refused(ValueError):
    """The operation can't be done; `code` is the refusing system's own word for it."""

    def __init__(self, code: str, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.code, self.field = code, field


def operation(function: Operation) -> Operation:
    """Registers an operation under its own name."""
    OPERATIONS[function.__name__] = function
    return function


def log_write(
    world: World,
    where: tuple[str, str, str, str],
    before: Mapping[str, object],
    after: Mapping[str, object],
    request_id: str,
) -> Write:
    """Notes an executed write; `where` is system, action, object, key. A repetition points to the first of its kind."""
    system, action, what, key = where
    same = (*where, *(f"{k}={v}" for k, v in sorted(_plain(after).items())))
    twin = world.write_index.setdefault(same, len(world.writes) + 1)
    write = Write(
        seq=len(world.writes) + 1, world_at=world.now, system=system, action=action, what=what, key=key,
        before=_plain(before), after=_plain(after), effective=_plain(before) != _plain(after), request_id=request_id,
        duplicate_of=twin if twin <= len(world.writes) else None,
    )  # fmt: skip
    world.writes.append(write)
    return write


def _plain(values: Mapping[str, object]) -> dict[str, object]:
    return {k: v if v is None or isinstance(v, bool | int) else str(v) for k, v in values.items()}


ACCOUNT_FIELDS = {
    "Name": "name", "Collections_Status__c": "collections_status", "Collections_Overdue__c": "collections_overdue",
    "Collections_Currency__c": "collections_currency",
    "Collections_As_Of__c": "collections_as_of", "Collections_Version__c": "collections_version",
    "ERP_Customer_Number__c": "erp_number",
}  # fmt: skip


def account_changes(changes: Mapping[str, Any]) -> dict[str, Any]:
    """CRM field values as attributes of an account. Refused names the field that is unknown or has a bad value."""
    known: dict[str, Any] = {}
    for field, value in changes.items():
        if field not in ACCOUNT_FIELDS:
            raise Refused("INVALID_FIELD", f"No such column '{field}' on sobject of type Account", field)
        if value is not None:
            try:
                if field in ("Collections_Overdue__c", "Collections_Version__c"):
                    value = Decimal(str(value))
                elif field == "Collections_As_Of__c":
                    value = datetime.fromisoformat(str(value).replace("+0000", "+00:00")).astimezone(UTC)
                elif not isinstance(value, str):
                    raise ValueError("not a string")
            except (ValueError, InvalidOperation):
                raise Refused("JSON_PARSER_ERROR", f"Cannot deserialize {field} from {value!r}", field) from None
        if field == "Collections_Status__c" and value is not None and len(value) > 255:
            raise Refused("STRING_TOO_LONG", f"{field}: data value too large: {value[:40]}... (max length=255)", field)
        known[ACCOUNT_FIELDS[field]] = value
    return known


@operation
def update_account(world: World, *, id: str, changes: dict[str, Any], request_id: str = "") -> dict[str, Any]:
    """Writes fields of an existing CRM account."""
    account = world.accounts[id]
    new = account_changes(changes)
    before = {name: getattr(account, name) for name in new}
    for name, value in new.items():
        setattr(account, name, value)
    account.changed_at = world.now
    log_write(world, ("salesforce", "update", "Account", account.erp_number or id), before, new, request_id)
    return {"id": id, "created": False}


@operation
def create_account(world: World, *, changes: dict[str, Any], request_id: str = "") -> dict[str, Any]:
    """Creates a CRM account, as an upsert without updateOnly does for an unknown external id."""
    new = account_changes(changes)
    if not new.get("name"):
        raise Refused("REQUIRED_FIELD_MISSING", "Required fields are missing: [Name]", "Name")
    account = Account(
        id=salesforce_id("001", world.count("account", 4100)), name=new["name"], customer=None,
        erp_number=new.get("erp_number"), created_at=world.now, changed_at=world.now,
    )  # fmt: skip
    for name, value in new.items():
        setattr(account, name, value)
    world.accounts[account.id] = account
    log_write(world, ("salesforce", "create", "Account", account.erp_number or account.id), {}, new, request_id)
    return {"id": account.id, "created": True}


@operation
def update_order(world: World, *, host: str, number: str, changes: dict[str, str], request_id: str = "") -> dict[str, Any]:
    """Writes a sales order's delivery or billing block in an ERP. Lifting the credit block releases the order."""
    order = _order(world, host, number)
    before = _blocks(order)
    if "DeliveryBlockReason" in changes:
        reason = changes["DeliveryBlockReason"]
        _ = sales.set_block(world, order, reason) if reason else sales.lift_block(world, order)
    action = "release" if before["DeliveryBlockReason"] and not order.block else "patch"
    if before == _blocks(order) and action == "patch" and changes.get("DeliveryBlockReason") == "":
        action = "release"
    log_write(world, (host, action, "A_SalesOrder", number), before, _blocks(order), request_id)
    return {"SalesOrder": number, **_blocks(order)}


@operation
def answer_approval(world: World, *, host: str, number: str, approved: bool, request_id: str = "") -> dict[str, Any]:
    """Releases or rejects the approval request of a sales order. Refused when it waits for none."""
    order = _order(world, host, number)
    before = {"SalesDocApprovalStatus": world.approvals.get(number, "")}
    if before["SalesDocApprovalStatus"] != "A":
        raise Refused("V1/801", f"Sales order {number} is not in approval")
    world.approvals[number] = "B" if approved else "C"
    order.changed_at = world.now
    after = {"SalesDocApprovalStatus": world.approvals[number]}
    log_write(world, (host, "approve" if approved else "reject", "A_SalesOrder", number), before, after, request_id)
    return {"SalesOrder": number, **after}


def _order(world: World, host: str, number: str) -> Order:
    order = world.orders.get(number)
    if order is None or order.host != host:
        raise Refused("V1/302", f"Sales document {number} is not in the database or has been archived")
    return order


def _blocks(order: Order) -> dict[str, object]:
    return {
        "DeliveryBlockReason": order.block,
        "TotalCreditCheckStatus": order.credit_status,
        "episode": order.episode,
    }


@operation
def create_flow(world: World, *, flow: dict[str, Any], request_id: str = "") -> dict[str, Any]:
    """Adds a cash flow to treasury. References are not unique there: the same one twice makes two flows."""
    new = new_flow(
        world, flow["account"], flow["code"], Decimal(flow["amount"]), date.fromisoformat(flow["valueDate"]),
        reference=flow["reference"], status=flow["status"], description=flow["description"], origin="API",
    )  # fmt: skip
    new.transaction_date = date.fromisoformat(flow["transactionDate"])
    log_write(world, ("kyriba", "create", "cash-flow", new.reference), {}, flow_facts(new), request_id)
    return {"uuid": new.uuid, "reference": new.reference}


@operation
def replace_flow(world: World, *, uuid: str, flow: dict[str, Any], request_id: str = "") -> dict[str, Any]:
    """Replaces a cash flow as a whole: what isn't given is reset."""
    old = world.flows[uuid]
    before = flow_facts(old)
    old.account, old.code, old.amount = flow["account"], flow["code"], Decimal(flow["amount"])
    old.value_date = date.fromisoformat(flow["valueDate"])
    old.transaction_date = date.fromisoformat(flow["transactionDate"])
    old.reference, old.status, old.description = flow["reference"], flow["status"], flow["description"]
    old.changed_at = world.now
    log_write(world, ("kyriba", "replace", "cash-flow", old.reference), before, flow_facts(old), request_id)
    return {"uuid": uuid, "reference": old.reference}


@operation
def delete_flow(world: World, *, uuid: str, request_id: str = "") -> dict[str, Any]:
    """Removes a cash flow."""
    flow = world.flows[uuid]
    flow.deleted, flow.changed_at = True, world.now
    where = ("kyriba", "delete", "cash-flow", flow.reference)
    log_write(world, where, {"deleted": False}, {"deleted": True}, request_id)
    return {"uuid": uuid, "reference": flow.reference}


def flow_facts(flow: CashFlow) -> dict[str, object]:
    """What is compared to see whether two writes of a cash flow say the same."""
    return {
        "reference": flow.reference, "account": flow.account, "code": flow.code, "amount": f"{flow.amount:f}",
        "status": flow.status, "valueDate": str(flow.value_date), "transactionDate": str(flow.transaction_date),
    }  # fmt: skip
