"""What is written to the tenant: a cash flow in a request body."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any

from sandbox.kyriba.objects import STATUSES, account_of
from sandbox.world.operations import Refused


def flow_of(body: bytes) -> dict[str, Any]:
    """The cash flow in a request body. Refused names the field that is missing or wrong."""
    field_name = "body"
    try:
        sent = json.loads(body, parse_float=Decimal, parse_int=Decimal)
        field_name = "account"
        account = account_of(str(sent["account"].get("code") or sent["account"].get("uuid")))
        if account is None:
            raise ValueError("unknown account")
        field_name = "flowAmount"
        amount = sent["flowAmount"].get("value", sent["flowAmount"].get("amount"))
        if not isinstance(amount, Decimal) or not amount.is_finite():
            raise ValueError("a number is required")
        currency = sent["flowAmount"].get("currency", {}).get("code", account.currency)
        if currency != account.currency:
            raise ValueError(f"account {account.code} is held in {account.currency}")
        field_name = "date"
        value_date = date.fromisoformat(sent["date"].get("valueDate") or sent["date"]["transactionDate"])
        transaction = date.fromisoformat(sent["date"].get("transactionDate") or str(value_date))
        field_name = "status"
        if sent.get("status", "ESTIMATED") not in STATUSES[:2]:
            raise ValueError("ESTIMATED or CONFIRMED expected")
        field_name = "flowCode"
        code = sent["flowCode"]["code"]
    except (ValueError, KeyError, TypeError, AttributeError, InvalidOperation) as wrong:
        raise Refused("InvalidValue", f"{field_name}: {wrong}", field_name) from wrong
    return {"account": account.code, "code": str(code), "amount": str(amount), "reference": str(sent.get("reference") or "")[:250],
            "status": sent.get("status", "ESTIMATED"), "description": str(sent.get("description") or ""),
            "valueDate": str(value_date), "transactionDate": str(transaction)}  # fmt: skip


def references_of(body: bytes) -> list[str]:
    """The codes or UUIDs of the accounts that a request for details names, 100 at most."""
    try:
        refs = json.loads(body)["refs"]
        keys = [str(ref.get("uuid") or ref["code"]) for ref in refs]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise Refused("InvalidValue", "refs: a list of objects with a code or a uuid is expected", "refs") from None
    if not 1 <= len(keys) <= 100:
        raise Refused("InvalidValue", "refs: 1 to 100 references are expected", "refs")
    return keys
