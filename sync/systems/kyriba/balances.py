"""Balances: treasury's cash position in windows of 31 days, and the banks' own balances day by day."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import quote

from sync.errors import DataError, TransientError
from sync.http import Answer, error_of, wall_clock
from sync.ports import Cursor, Page
from sync.systems.kyriba.answers import explain, web_page
from sync.systems.kyriba.listings import Listings, page_of
from sync.systems.kyriba.settings import BalanceType
from sync.systems.kyriba.wire import ACCOUNT_HEADER, BALANCE_HEADER, REFUSED_HEADER, bank_balance_account, records_of, windows
from sync.wire_frames import decode

CASH = {"dateType": "VALUE", "actual": "true", "intraday": "true", "confirmedForecasts": "false", "estimatedForecasts": "false"}
"""What counts as cash: what has happened. What is planned comes as cash flows."""
FORBIDDEN, ABSENT = 403, 404
REFUSALS = (FORBIDDEN, ABSENT)


class Accounts:
    """The accounts of one pull, and by which of their names the tenant takes questions for their balances: the code, or its own id. It may
    take either or one only: where the code is not found, the id is tried, until one of them has been answered.
    """

    def __init__(self, tenant: Listings) -> None:
        self._tenant = tenant
        self._ids = tenant.accounts()
        self._by_id: bool | None = None
        self.connection = tenant.connection.name
        self.companies = {code: account.company for code, account in self._ids.items()}

    def ask(self, what: str, code: str, params: Mapping[str, str]) -> Answer:
        """The balances of an account, or a refusal, with the API's words or bare."""
        own = self._ids[code].uuid
        answer = self._named(what, own if self._by_id and own else code, params)
        if answer.status == ABSENT and self._by_id is None and own and own != code:
            other = self._named(what, own, params)
            if other.status != ABSENT:
                answer, self._by_id = other, True
        elif answer.status < 300 and self._by_id is None:
            self._by_id = False
        return answer

    def _named(self, what: str, name: str, params: Mapping[str, str]) -> Answer:
        return self._tenant.session.get(f"v1/{what}/accounts/{quote(name, safe='')}/balances", params, accept=REFUSALS)


class Refused:
    """Holds the refusals of single accounts back until one account is answered: where none is, the API itself is refused, which is an
    error and nobody's bad record.
    """

    def __init__(self, tenant: Listings, refuses: Callable[[Answer], bool]) -> None:
        self._connection = tenant.connection.name
        self._refuses = refuses
        self._last: Answer | None = None
        self._spared = False
        self._held: list[Page] = []

    def judge(self, answer: Answer) -> list[Page]:
        """Takes note of an answer; returns the pages that were held, once one is none of the refusals."""
        if self._refuses(answer):
            self._last = answer
            return []
        self._spared = True
        given, self._held = self._held, []
        return given

    def hold(self, page: Page) -> list[Page]:
        """The page, or nothing as long as everything was refused."""
        if self._spared:
            return [page]
        self._held.append(page)
        return []

    def end(self) -> None:
        """Raises the error of the last refusal when no account was spared."""
        if self._last is not None and not self._spared:
            error = explain(self._last) or error_of(self._last, now=wall_clock())
            error.connection = self._connection
            raise error


class Known:
    """The cursor on its way, and the digests of the last answers that it holds by name."""

    def __init__(self, cursor: Cursor | None) -> None:
        self._cursor: dict[str, Any] = dict(cursor or {})

    def told(self) -> dict[str, str]:
        """Name -> digest."""
        return dict(self._cursor.get("seen") or {})

    def says(self, name: str, digest: str) -> bool:
        """Whether the last answer for `name` was this one."""
        return bool((self._cursor.get("seen") or {}).get(name) == digest)

    def without(self, name: str) -> Cursor | None:
        """The cursor once another answer was given for `name`; None where it knows none. Should the pull end before a cursor is whole, the
        next answer may be as the one before, and must not be passed over.
        """
        told = self.told()
        if told.pop(name, None) is None:
            return None
        self._cursor["seen"] = told
        return dict(self._cursor)

    def whole(self, through: date, seen: Mapping[str, str]) -> Cursor:
        """The cursor once everything up to a day was answered."""
        self._cursor = {"through": through.isoformat(), "seen": dict(seen)}
        return dict(self._cursor)


def pull_cash(tenant: Listings, cursor: Cursor | None, now: datetime) -> Iterator[Page]:
    """Every account in every window, oldest window first. The cursor moves when a window is whole; corrected days are read again.

    An answer of the newest window that is the same as last time brings no page, so that asking often costs little; what another answer was
    given for is forgotten at once, for the next may be as the one before. An account that the tenant refuses costs only itself: its refusal
    is a page, and becomes an exception.
    """
    accounts = Accounts(tenant)
    companies = accounts.companies
    page = page_of(companies, now)
    today = now.astimezone(UTC).date()
    known = Known(cursor)
    for start, end in windows(_first_day(tenant, cursor, today, tenant.settings.balance_history_days), today):
        seen: dict[str, str] = {}
        refused = Refused(tenant, lambda answer: answer.status in REFUSALS)
        for place, code in enumerate(sorted(companies), start=1):
            answer = _window(accounts, code, start, end)
            yield from refused.judge(answer)
            seen[code] = _digest(f"{start} {end}", answer)
            whole = place == len(companies)
            if known.says(code, seen[code]) and not whole:
                continue
            moved = known.whole(end, seen) if whole else known.without(code)
            until = now if whole and end == today else None
            beside = {ACCOUNT_HEADER: code, **_beside(answer, code)}
            given = page(answer, f"balances {code} {start} to {end}", moved, complete_until=until, **beside)
            yield from refused.hold(given)
        refused.end()


def pull_bank(tenant: Listings, cursor: Cursor | None, now: datetime) -> Iterator[Page]:
    """What the banks say of every account: the closed days' end, oldest first, then today's standing. One call for each, so that only
    the last days are read again; an answer that is the same as last time brings no page.
    """
    accounts = Accounts(tenant)
    companies = accounts.companies
    page = page_of(companies, now)
    today = now.astimezone(UTC).date()
    known = Known(cursor)
    first = _first_day(tenant, cursor, today, tenant.settings.bank_balance_history_days)
    questions = _questions(tenant, first, today, sorted(companies))
    keep = (today - timedelta(days=tenant.settings.balance_reread_days)).isoformat()
    seen: dict[str, str] = {name: digest for name, digest in known.told().items() if name.split(" ")[0] >= keep}
    refused = Refused(tenant, _no_bank_balances)
    for place, (day, kind, code) in enumerate(questions, start=1):
        answer = _bank_balance(accounts, code, day, kind)
        yield from refused.judge(answer)
        name, last = f"{day} {kind} {code}", place == len(questions)
        seen[name] = _digest(name, answer)
        if (known.says(name, seen[name]) or answer.status == ABSENT) and not last:
            continue
        whole = last or questions[place][0] > day
        moved = known.whole(day, seen) if whole else known.without(name)
        beside = {BALANCE_HEADER: f"{kind} {code}", **_beside(answer, code)}
        yield from refused.hold(page(answer, f"bank balance {name}", moved, complete_until=now if last else None, **beside))
    refused.end()


def _questions(tenant: Listings, first: date, today: date, codes: list[str]) -> list[tuple[date, BalanceType, str]]:
    kinds = tenant.settings.bank_balance_types
    days = [first + timedelta(days=n) for n in range((today - first).days)] if "END_OF_DAY" in kinds else []
    closed: list[tuple[date, BalanceType, str]] = [(day, "END_OF_DAY", code) for day in days for code in codes]
    return closed + ([(today, "INTRADAY", code) for code in codes] if "INTRADAY" in kinds else [])


def _bank_balance(accounts: Accounts, code: str, day: date, kind: BalanceType) -> Answer:
    """One answer; 404 where the bank has said nothing of that day."""
    answer = accounts.ask("bank-balances", code, {"date": day.isoformat(), "type": kind})
    if answer.status in REFUSALS:
        return answer if answer.status == ABSENT else _of_the_api(answer)
    try:
        account = bank_balance_account(answer.body)
    except DataError as error:
        raise TransientError(f"{answer.place}: {error.detail}", connection=accounts.connection) from error
    if account not in (code, None):
        raise TransientError(f"{answer.place}: the answer is about another account", connection=accounts.connection)
    return answer


def _window(accounts: Accounts, code: str, start: date, end: date) -> Answer:
    answer = accounts.ask("cash-balances", code, {"startDate": str(start), "endDate": str(end), **CASH})
    if answer.status in REFUSALS:
        return _of_the_api(answer)
    try:
        rows = decode(records_of(answer.body, "cashBalance").records)
    except DataError as error:
        raise TransientError(f"{answer.place}: {error.detail}", connection=accounts.connection) from error
    named = [row["account"].get("code") for row in rows.sound if isinstance(row.get("account"), dict)]
    if any(isinstance(each, str) and each != code for each in named):  # it would hide the asked account's balances for good
        raise TransientError(f"{answer.place}: the answer is about another account", connection=accounts.connection)
    return answer


def _no_bank_balances(answer: Answer) -> bool:
    """Whether an answer may mean that there is no such API here: 403, or 404 as a web page. Any other 404, bare ones too, says that the bank
    has told nothing.
    """
    return answer.status == FORBIDDEN or (answer.status == ABSENT and web_page(answer))


def _of_the_api(refusal: Answer) -> Answer:
    """The refusal, if the API may have said it; a web page is a proxy's word and no account's matter, so it is an error."""
    if web_page(refusal):
        raise error_of(refusal, now=wall_clock())
    return refusal


def _beside(answer: Answer, code: str) -> dict[str, str]:
    return {REFUSED_HEADER: f"{answer.status} {code}"} if answer.status in REFUSALS else {}


def _first_day(tenant: Listings, cursor: Cursor | None, today: date, history: int) -> date:
    if not cursor or not cursor.get("through"):
        return today - timedelta(days=history)
    through = min(date.fromisoformat(str(cursor["through"])), today)
    return through - timedelta(days=tenant.settings.balance_reread_days)


def _digest(question: str, answer: Answer) -> str:
    return hashlib.sha256(f"{question} ".encode() + answer.body).hexdigest()[:24]
