"""What has been paid on an invoice, by Tryton's own reckoning: its lines to pay, what reconciles them, and what is only assigned. Pure.

The sum of an invoice's applications is always its total less `amount_to_pay`, to the cent. Each line to pay that is reconciled is one
application on the day of its reconciliation; part payments that the books assign to the invoice are one more, under a key of its own.
So an invoice's possible keys are always the same few, and what is undone can be named: see docs/decisions/settlement-of-tryton.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

ZERO = Decimal(0)
PART = "part"


@dataclass(frozen=True, slots=True)
class Application:
    """`key`: of the application; `amount` is positive, also on a credit note; zero: there is none, or no longer. `on`: an ISO date."""

    key: str
    amount: Decimal
    on: str | None = None
    payment_key: str | None = None


class Unreadable(ValueError):
    """An amount or a line is not what it should be; the message names it."""


def applications(invoice: Mapping[str, Any]) -> list[Application]:
    """Every application that this invoice has or may have had. `invoice`: its record with plain values. Raises Unreadable."""
    key = str(_number(invoice, "id"))
    if not _has_lines(invoice):
        return [_by_total(invoice)]
    owed = _lines(invoice, "lines_to_pay")
    if invoice.get("state") == "cancelled":
        return [*(Application(f"{key}/{line['id']}", ZERO) for line in owed), Application(f"{key}/{PART}", ZERO)]
    part, covered = _part(invoice, owed)
    return [*_by_line(invoice, owed, covered), part]


def due_date(invoice: Mapping[str, Any]) -> str | None:
    """The day on which the next unpaid line falls due, the last day of all once all are paid; ISO."""
    if not _has_lines(invoice):
        return None
    lines = _lines(invoice, "lines_to_pay")
    days = [str(line["maturity_date"]) for line in lines if line.get("maturity_date")]
    open_days = [str(line["maturity_date"]) for line in lines if line.get("maturity_date") and not line.get("reconciliation")]
    return min(open_days, default=None) or max(days, default=None)


def _has_lines(invoice: Mapping[str, Any]) -> bool:
    """Whether the invoice brings its lines along, and not their numbers only or nothing."""
    lines = invoice.get("lines_to_pay")
    return bool(lines) and not (isinstance(lines, list) and all(type(line) is int for line in lines))


def _by_total(invoice: Mapping[str, Any]) -> Application:
    """What has been paid of an invoice whose lines are not shown: its total less what is open, as one."""
    key = f"{invoice['id']}/{PART}"
    paid = (_amount(invoice, "total_amount") - _amount(invoice, "amount_to_pay")) * _sign(invoice)
    settled = invoice.get("state") in ("posted", "paid")
    return Application(key, max(paid, ZERO) if settled else ZERO, str(invoice["reconciled"]) if invoice.get("reconciled") else None)


def _part(invoice: Mapping[str, Any], owed: Sequence[Mapping[str, Any]]) -> tuple[Application, dict[int | None, Decimal]]:
    """The application of the assigned payments, and how much of it each reconciliation already covers.

    What is assigned but not reconciled yet is taken from `amount_to_pay`, which knows the rate of the day for money in another currency.
    """
    key = f"{invoice['id']}/{PART}"
    sign = _sign(invoice)
    settled = {_of(line) for line in owed if _of(line) is not None}
    assigned = _lines(invoice, "payment_lines")
    covered: dict[int | None, Decimal] = {}
    for line in assigned:
        worth = _worth(invoice, line)
        if _of(line) in settled and worth is not None:
            covered[_of(line)] = covered.get(_of(line), ZERO) - worth * sign
    waiting = ZERO
    if invoice.get("state") == "posted":
        unpaid = sum((_needed(invoice, line) for line in owed if _of(line) is None), ZERO)
        waiting = (unpaid - _amount(invoice, "amount_to_pay")) * sign
    counted = [line for line in assigned if _of(line) is None or _of(line) in covered]
    days = [str(line["date"]) for line in counted if line.get("date")]
    only = str(counted[0]["id"]) if len(counted) == 1 else None
    total = waiting + sum(covered.values(), ZERO)
    return Application(key, max(total, ZERO), max(days, default=None), only), covered


def _by_line(invoice: Mapping[str, Any], owed: Sequence[Mapping[str, Any]], covered: dict[int | None, Decimal]) -> Iterator[Application]:
    """One application per line to pay: what its reconciliation pays beyond the assigned payments in it."""
    sign = _sign(invoice)
    for line in owed:
        reconciliation = _of(line)
        key = f"{invoice['id']}/{line['id']}"
        if reconciliation is None:
            yield Application(key, ZERO)
            continue
        amount = _needed(invoice, line) * sign
        taken = min(amount, covered.get(reconciliation, ZERO))
        covered[reconciliation] = covered.get(reconciliation, ZERO) - taken
        of_day = line["reconciliation"].get("date") if isinstance(line.get("reconciliation"), dict) else None
        yield Application(key, max(amount - taken, ZERO), of_day and str(of_day), _payer(invoice, reconciliation))


def _payer(invoice: Mapping[str, Any], reconciliation: Any) -> str | None:
    """The one line that pays in this reconciliation, beside those assigned; None where there are several."""
    assigned = {line["id"] for line in _lines(invoice, "payment_lines")}
    side = "credit" if _sign(invoice) > 0 else "debit"
    found = [
        line["id"]
        for line in _lines(invoice, "reconciliation_lines")
        if _of(line) == reconciliation and line["id"] not in assigned and _amount(line, side) > 0
    ]
    return str(found[0]) if len(found) == 1 else None


def _needed(invoice: Mapping[str, Any], line: Mapping[str, Any]) -> Decimal:
    worth = _worth(invoice, line)
    if worth is None:
        raise Unreadable(f"line {line['id']} to pay has no amount in the invoice's currency")
    return worth


def _worth(invoice: Mapping[str, Any], line: Mapping[str, Any]) -> Decimal | None:
    """A line's amount in the invoice's currency, debit positive; None where the books hold it in another currency only."""
    currency = _code(invoice.get("currency"))
    if _code(line.get("second_currency")) == currency and line.get("amount_second_currency") is not None:
        return _amount(line, "amount_second_currency")
    company = invoice.get("company")
    if currency == _code(company.get("currency") if isinstance(company, dict) else None):
        return _amount(line, "debit") - _amount(line, "credit")
    return None


def _sign(invoice: Mapping[str, Any]) -> Decimal:
    return Decimal(-1) if _amount(invoice, "total_amount") < 0 else Decimal(1)


def _amount(record: Mapping[str, Any], name: str) -> Decimal:
    said = record.get(name)
    try:
        number = Decimal(str(said)) if said is not None else ZERO
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite():
        raise Unreadable(f"{name} of record {record.get('id')} is no amount")
    return number


def _lines(invoice: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    found = invoice.get(name) or []
    if not isinstance(found, list) or not all(isinstance(line, dict) and isinstance(line.get("id"), int) for line in found):
        raise Unreadable(f"{name} is no list of lines with their numbers")
    return found


def _of(line: Mapping[str, Any]) -> int | None:
    """The number of the line's reconciliation."""
    said = line.get("reconciliation")
    if isinstance(said, dict):
        return _number(said, "id")
    return None if said is None else _number(line, "reconciliation")


def _number(record: Mapping[str, Any], name: str) -> int:
    said = record.get(name)
    if not isinstance(said, int) or isinstance(said, bool):
        raise Unreadable(f"{name} of a record is no number")
    return said


def _code(value: Any) -> Any:
    return value.get("code") if isinstance(value, dict) else None
