"""Kyriba's shapes: accounts, stamps, windows, what travels with a page. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sync.errors import DataError
from sync.strict_json import loosely
from sync.wire_frames import Rows, Split, split

WINDOW_DAYS = 31
ACCOUNTS_HEADER = "x-tidegate-accounts"
ASKED_HEADER = "x-tidegate-asked-at"
"""What the records themselves don't say travels with the page: which company holds each account, and when it was asked."""
ACCOUNT_HEADER = "x-tidegate-account"
"""The code of the account whose cash balances a page answers for: they need not name it one by one."""
BALANCE_HEADER = "x-tidegate-balance"
"""Which balance a bank balance is: its type and the account's code, as they were asked for."""
REFUSED_HEADER = "x-tidegate-refused"
"""The status with which the tenant refused the question that a page answers, and the account that it was about."""


@dataclass(frozen=True, slots=True)
class Account:
    """An account as the listing shows it: its code, its company's code, its currency, every number by which a bank may name it,
    and the tenant's own id.
    """

    code: str
    company: str | None
    currency: str | None
    numbers: tuple[str, ...]
    uuid: str | None = None


def code_of(value: Any) -> str | None:
    """A code, given as text or as an object with a code; None where there is none."""
    found = value.get("code") if isinstance(value, dict) else value
    return str(found) if isinstance(found, str | int) and not isinstance(found, bool) else None


def account_of(row: Mapping[str, Any]) -> Account | None:
    """The account of a record; None where it has no code."""
    code = row.get("code")
    if not code:
        return None
    given = (row.get(name) for name in ("ibanCode", "banCode", "statementIdentifier", "code"))
    numbers = dict.fromkeys(str(number).replace(" ", "") for number in given if number)
    return Account(str(code), code_of(row.get("company")), code_of(row.get("currency")), tuple(numbers), code_of(row.get("uuid")))


def records_of(body: bytes, member: str) -> Split:
    """The records of an answer: at `member`, or the whole answer where it is a bare list. DataError when it is neither."""
    if body.lstrip()[:1] == b"[":
        body = b'{"%s":%s}' % (member.encode(), body)
    return split(body, member)


def bank_balance_account(body: bytes) -> str | None:
    """The code of the account that a bank balance's answer is about, None where it names none. DataError when it is no such answer."""
    said = loosely(body)  # what no balance may hold is for the mapping to refuse
    if not isinstance(said, dict) or "bankBalance" not in said:
        raise DataError("the answer holds no bankBalance", cause="file_unreadable")
    return code_of(said["account"]) if isinstance(said.get("account"), dict) else None


def stamps(rows: Rows) -> list[datetime]:
    """The update stamps of the records that have a readable one, in their order, UTC."""
    found = []
    for row in rows.sound:
        nested = row.get("date")
        text = (nested.get("updateDateTime") if isinstance(nested, dict) else None) or row.get("updateDateTime")
        try:
            stamp = datetime.fromisoformat(str(text).replace("Z", "+00:00"))
        except ValueError:
            continue
        if stamp.tzinfo is not None:
            found.append(stamp)
    return found


def windows(first: date, last: date) -> list[tuple[date, date]]:
    """Spans of at most 31 days from `first` to `last`, both included."""
    spans = []
    while first <= last:
        end = min(first + timedelta(days=WINDOW_DAYS - 1), last)
        spans.append((first, end))
        first = end + timedelta(days=1)
    return spans


def context(accounts: Mapping[str, str | None], now: datetime) -> dict[str, str]:
    """The headers that go with a page."""
    return {ACCOUNTS_HEADER: json.dumps(accounts, sort_keys=True), ASKED_HEADER: now.isoformat()}
