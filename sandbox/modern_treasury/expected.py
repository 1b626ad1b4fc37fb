"""The body of a request that creates or changes an expected payment, checked as its description asks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date
from typing import Any

from sandbox.modern_treasury.objects import ACCOUNT_ID
from sandbox.modern_treasury.spec import spec
from sandbox.world.operating import ACCOUNT
from sandbox.world.operations import Refused


def fields_of(body: bytes, *, created: bool) -> dict[str, Any]:
    """The members of a request's body; `created`: what a new one needs must be there, and what it leaves open is filled in.

    Refused (parameter_missing, parameter_invalid) names the member.
    """
    try:
        sent = json.loads(body)
    except ValueError:
        raise Refused("parameter_invalid", "the body is no JSON") from None
    if not isinstance(sent, dict):
        raise Refused("parameter_invalid", "the body is no object")
    known = spec()["components"]["schemas"]["expected_payment_create_request" if created else "expected_payment_update_request"][
        "properties"
    ]
    for name, value in sent.items():
        if name not in known:
            raise Refused("parameter_invalid", f"{name} is no member of an expected payment", name)
        _check(name, value, known[name])
    if created:
        for name in ("direction", "internal_account_id"):
            if sent.get(name) is None:
                raise Refused("parameter_missing", f"{name} is missing", name)
        sent = {"currency": ACCOUNT.currency, "metadata": {}, **sent}
    if sent.get("internal_account_id") not in (None, ACCOUNT_ID):
        raise Refused("parameter_invalid", "no such internal account", "internal_account_id")
    if sent.get("currency") not in (None, ACCOUNT.currency):
        raise Refused("parameter_invalid", f"the account is held in {ACCOUNT.currency}", "currency")
    return sent


def _check(name: str, value: Any, shape: Mapping[str, Any]) -> None:
    kinds: dict[str, type] = {"integer": int, "string": str, "object": dict, "array": list}
    if value is None and shape.get("nullable", False):
        return
    if (
        not isinstance(value, kinds.get(str(shape.get("type", "string")), str))
        or isinstance(value, bool)
        or value not in shape.get("enum", [value])
    ):
        raise Refused("parameter_invalid", f"{value!r} is no {shape.get('type', 'value')} that {name} may have", name)
    if shape.get("format") == "date":
        try:
            date.fromisoformat(str(value))
        except ValueError:
            raise Refused("parameter_invalid", f"{value!r} is no date", name) from None
    if isinstance(value, dict) and name == "metadata" and not all(isinstance(each, str) for each in value.values()):
        raise Refused("parameter_invalid", "metadata is a map of texts", name)
