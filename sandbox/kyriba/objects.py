"""The tenant's records as the API shows them: accounts, cash flows, transfers; which of their fields can be filtered, and how they break."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from sandbox.records import Entity, Field, fields
from sandbox.world.engine import World
from sandbox.world.model import CashFlow
from sandbox.world.reference import BANK_ACCOUNTS, BankAccount

SYSTEM = "kyriba"
STATUSES = ("ESTIMATED", "CONFIRMED", "ACTUAL")


def account_uuid(code: str) -> str:
    """The UUID of an account."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"kyriba-account:{code}"))


def account_of(key: str) -> BankAccount | None:
    """The account with this code or UUID."""
    return next((a for a in BANK_ACCOUNTS.values() if key in (a.code, account_uuid(a.code))), None)


def moment(value: datetime) -> str:
    """A stamp as the API writes it: seconds, Z."""
    return f"{value:%Y-%m-%dT%H:%M:%SZ}"


def reference(code: str, kind: str) -> dict[str, str]:
    """A reference to another object, by code and UUID."""
    return {"code": code, "uuid": str(uuid.uuid5(uuid.NAMESPACE_OID, f"kyriba-{kind}:{code}"))}


def named(account: BankAccount) -> dict[str, str]:
    """An account as balances name it."""
    return {"code": account.code, "uuid": account_uuid(account.code), "statementIdentifier": account.iban or account.number}


def render_account(account: BankAccount) -> dict[str, Any]:
    """A bank account as the listing shows it; its update date is a date."""
    return {
        "uuid": account_uuid(account.code), "code": account.code, "description": f"{account.bank} {account.currency}",
        "accountType": "BANK_ACCOUNT", "activeStatus": "OPENED", "status": "STANDARD", "closedAccount": False,
        "bank": reference(account.bank, "bank"), "branch": reference(f"{account.bank}-{account.country}", "branch"),
        "calendar": reference(account.country, "calendar"), "company": reference(account.entity, "company"),
        "currency": reference(account.currency, "currency"), "countryCode": account.country, "ibanCode": account.iban,
        "banCode": account.number, "statementIdentifier": account.iban or account.number,
        "creationDate": "2020-01-02", "updateDate": "2024-01-02",
    }  # fmt: skip


def render_details(account: BankAccount) -> dict[str, Any]:
    """A bank account with its details, which name some of it otherwise than the listing does."""
    left_out = ("ibanCode", "banCode", "statementIdentifier", "bank", "countryCode", "activeStatus", "status")
    shown = {name: value for name, value in render_account(account).items() if name not in left_out}
    return shown | {
        "bankAccountID": {"banStructure": "IBAN_STRUCTURE" if account.iban else "LBAN_1_STRUCTURE",
                          "value": account.iban or account.number, "statementIdentifier": account.iban or account.number},
        "openingDate": "2020-01-02", "timeZone": "GMT", "bankStatementLayout": "FINSTA",
    }  # fmt: skip


def render_flow(flow: CashFlow) -> dict[str, Any]:
    """A cash flow as the API shows it; the stamp and the dates are nested under `date`."""
    amount = {"value": flow.amount, "currency": reference(flow.currency, "currency")}
    return {
        "uuid": flow.uuid, "reference": flow.reference, "status": flow.status,
        "account": {"code": flow.account, "uuid": account_uuid(flow.account)}, "flowCode": reference(flow.code, "code"),
        "flowAmount": amount, "accountAmount": amount, "description": flow.description, "origin": flow.origin,
        "date": {
            "transactionDate": str(flow.transaction_date), "valueDate": str(flow.value_date),
            "accountingDate": str(flow.value_date), "creationDateTime": moment(flow.created_at),
            "updateDateTime": moment(flow.changed_at),
        },
    }  # fmt: skip


def as_served(world: World, flow: CashFlow) -> dict[str, Any]:
    """A cash flow as it is served: broken where somebody broke it."""
    shown = render_flow(flow)
    how = world.broken.get((SYSTEM, FLOWS.name, flow.uuid))
    if how is not None:
        shown[FLOWS.breakable[how]] = BROKEN[how]
    return shown


def transferred(world: World) -> Iterator[CashFlow]:
    """The cash flows behind which a transfer stands: treasury's own payments, from the day they are firm."""
    return (f for f in world.flows.values() if f.origin == "TREASURY" and f.amount < 0 and f.status != "ESTIMATED" and not f.deleted)


def transfer_uuid(flow: CashFlow) -> str:
    """The UUID of the transfer behind a cash flow."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"kyriba-transfer:{flow.uuid}"))


def render_transfer(world: World, flow: CashFlow) -> dict[str, Any]:
    """A transfer and how far it has come: registered, batched into a remittance the day before, transmitted when it has left."""
    account = BANK_ACCOUNTS[flow.account]
    left, batched = flow.status == "ACTUAL", world.now.date() >= flow.value_date - timedelta(days=1)
    remittance = "TRANSMITTED" if left else "CONSTITUTED" if batched else None
    batch = f"B{flow.value_date:%y%m%d}-{account.code}"
    return {
        "uuid": transfer_uuid(flow), "transactionNumber": f"T{transfer_uuid(flow)[:8].upper()}", "reference": flow.reference,
        "status": "TRANSMITTED" if left else "REGISTERED", "nextAction": None if left else "TRANSMIT" if batched else "REMIT",
        "remittance": None if remittance is None else {"batchId": batch, "status": remittance},
        "transactionType": "DOMESTIC_TRANSFER", "amount": -flow.amount, "currency": reference(account.currency, "currency"),
        "debitAccount": {"code": account.code, "uuid": account_uuid(account.code)}, "company": reference(account.entity, "company"),
        "counterparty": {"name": f"{flow.code.title()} run"}, "transactionDate": str(flow.transaction_date),
        "valueDate": str(flow.value_date), "updateDateTime": moment(flow.changed_at),
    }  # fmt: skip


def _touch(flow: CashFlow, now: datetime) -> None:
    flow.changed_at = now


FLOWS = Entity(
    "cash-flows", lambda w: (f for f in w.flows.values() if not f.deleted), lambda f: str(f.uuid),
    lambda f: f.changed_at.replace(microsecond=0),
    fields(
        Field("uuid", "string", lambda w, f: f.uuid), Field("reference", "string", lambda w, f: f.reference),
        Field("status", "string", lambda w, f: f.status), Field("account.code", "string", lambda w, f: f.account),
        Field("origin", "string", lambda w, f: f.origin), Field("flowCode.code", "string", lambda w, f: f.code),
        Field("updateDateTime", "moment", lambda w, f: f.changed_at.replace(microsecond=0)),
        Field("creationDateTime", "moment", lambda w, f: f.created_at.replace(microsecond=0)),
        Field("transactionDate", "date", lambda w, f: f.transaction_date),
        Field("valueDate", "date", lambda w, f: f.value_date),
    ),
    breakable={"missing_key": "uuid", "bad_amount": "flowAmount", "bad_currency": "flowAmount", "bad_date": "date",
               "unknown_customer": "account"},
    customer="account", drift="status", restamp=_touch,
)  # fmt: skip
TRANSFERS = Entity(
    "payment", transferred, transfer_uuid, lambda f: f.changed_at.replace(microsecond=0),
    fields(
        Field("uuid", "string", lambda w, f: transfer_uuid(f)), Field("reference", "string", lambda w, f: f.reference),
        Field("status", "string", lambda w, f: render_transfer(w, f)["status"]),
        Field("transactionDate", "date", lambda w, f: f.transaction_date),
        Field("valueDate", "date", lambda w, f: f.value_date),
    ),
    drift="status",
)  # fmt: skip
ACCOUNTS = Entity(
    "accounts", lambda w: BANK_ACCOUNTS.values(), lambda a: str(a.code), lambda a: datetime.min,
    fields(Field("code", "string", lambda w, a: a.code), Field("uuid", "string", lambda w, a: account_uuid(a.code)),
           Field("company.code", "string", lambda w, a: a.entity), Field("currency.code", "string", lambda w, a: a.currency)),
    drift="status",
)  # fmt: skip
BROKEN: dict[str, Any] = {
    "missing_key": None, "bad_amount": {"value": "n/a", "currency": {"code": "EUR"}},
    "bad_currency": {"value": 1.0, "currency": {"code": "XXQ"}},
    "bad_date": {"transactionDate": "2026-02-31", "valueDate": "2026-02-31", "updateDateTime": "yesterday"},
    "unknown_customer": {"code": "NOWHERE"},
}  # fmt: skip
