"""Reading an organisation: short lists whole, long ones from a day or a stamp on, and single records that a webhook has named."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from urllib.parse import quote

from sync.canonical.contracts import BankAccount, BankBalance, BankTransaction, ForecastItem, OutgoingPayment, Payment
from sync.connections import Connection
from sync.errors import PermanentError, SourceError
from sync.http import Answer
from sync.ports import Capabilities, Cursor, Finding, Mapped, Page, Stream
from sync.systems.modern_treasury.client import Session
from sync.systems.modern_treasury.lists import LISTS, walk
from sync.systems.modern_treasury.mapping import map_page
from sync.systems.modern_treasury.probe import probe
from sync.systems.modern_treasury.settings import Settings
from sync.systems.modern_treasury.wire import GONE_HEADER, REFUSED_HEADER, context

STREAMS = (
    Stream("accounts", (BankAccount.entity,), Capabilities(incremental=False, snapshot=True, hints=True, deletes=True)),
    Stream("balances", (BankBalance.entity,), Capabilities(hints=True)),
    Stream("transactions", (BankTransaction.entity,), Capabilities(hints=True, deletes=True)),
    Stream("expected_payments", (ForecastItem.entity,), Capabilities(hints=True, deletes=True, writes=True)),
    Stream("payment_orders", (OutgoingPayment.entity,), Capabilities(hints=True)),
    Stream("incoming_payments", (Payment.entity,), Capabilities(hints=True)),
)
DAYS_ONE_BY_ONE = 31
"""A longer time without a look is caught up by reading an account's reports whole."""


class ModernTreasurySource:
    """An organisation as a source. Cursors: balances {"through": day}; the others {"since": stamp} and, on the way, {"began", "after",
    "top"}: when the list was begun, its own cursor, the newest stamp met.
    """

    def __init__(self, connection: Connection, settings: Settings, session: Session) -> None:
        self._connection = connection
        self._settings = settings
        self._session = session

    def streams(self) -> Sequence[Stream]:
        return STREAMS

    def pull(self, stream: str, cursor: Cursor | None, *, now: datetime) -> Iterator[Page]:
        """Pages from the cursor on; see the class for what a cursor holds."""
        if stream == "balances":
            return self._balances(cursor, now)
        if stream not in LISTS:
            raise PermanentError(
                f"modern_treasury has no stream {stream!r}; it has {', '.join(s.name for s in STREAMS)}", connection=self._connection.name
            )
        return self._list(stream, cursor, now)

    def reread(self, stream: str, keys: Sequence[str], *, now: datetime) -> Iterator[Page]:
        """Each of these records as it is now; of balances, whose reports a webhook names by their account, the last days of it."""
        headers = context(self._entities(stream), now)
        for key in keys:
            if stream == "balances":
                for answer, name in self._reports(key, self._last_days(now)):
                    yield Page(answer.body, answer.content_type, None, name, headers)
                continue
            path = f"{LISTS[stream].path}/{quote(key, safe='')}"
            try:
                answer = self._session.get(path)
            except PermanentError as error:
                if error.status != 404:
                    raise
                yield Page(error.detail.encode(), "text/plain", None, path, {**headers, GONE_HEADER: key})
            else:
                yield Page(answer.body, answer.content_type, None, path, headers)

    def map(self, stream: str, page: Page) -> Mapped:
        """Pure; see mapping.map_page."""
        return map_page(stream, page, self._settings)

    def calls(self) -> tuple[int, int | None]:
        """Calls used and their limit; see sync.http_gate.Budget."""
        return self._session.client.gate.budget.standing

    def close(self) -> None:
        self._session.close()

    def probe(self, *, now: datetime) -> Iterator[Finding]:
        """Credentials, clock, and for each stream whether the key may read it and a first page."""
        return probe(self._session, self._first_page, [stream.name for stream in STREAMS], now=now)

    def _first_page(self, stream: str, now: datetime) -> Finding:
        what = f"{stream} first page"
        try:
            page = next(self.pull(stream, {"through": now.date().isoformat()} if stream == "balances" else None, now=now), None)
            if page is None:
                return Finding(what, ok=False, words="the organisation lists no account for this key")
            mapped = self.map(stream, page)
        except SourceError as error:
            hint = "" if error.status != 403 else f"; give the key's role the right to read {stream.replace('_', ' ')}"
            return Finding(what, ok=False, words=error.detail + hint)
        bad = mapped.rejects.height
        return Finding(what, ok=not bad, words=f"{mapped.records} records read, {bad} could not be mapped")

    def _list(self, stream: str, cursor: Cursor | None, now: datetime) -> Iterator[Page]:
        headers = context(self._entities(stream), now)
        for found in walk(self._session, LISTS[stream], cursor, self._settings, now=now):
            answer = found.listing.answer
            complete = now if found.last else None
            yield Page(answer.body, answer.content_type, found.cursor, found.name, headers, complete_until=complete)

    def _balances(self, cursor: Cursor | None, now: datetime) -> Iterator[Page]:
        """Reports carry no filter by change: the last days are asked for one by one, everything where there is no cursor or an old one.

        The cursor moves with the last page: what a killed worker has read is read again. An account whose reports are refused, as the
        contract has it, costs only itself: its refusal is a page, and becomes an exception.
        """
        accounts = [row for row in self._session.all_of("internal_accounts") if row.get("id") and row.get("status") != "closed"]
        entities = {str(row["id"]): self._settings.entity_of(row) for row in accounts}
        headers = context(entities, now)
        moved = {"through": now.astimezone(UTC).date().isoformat()}
        held: Page | None = None
        refused: dict[str, PermanentError] = {}
        asked = sorted(set(entities) - set(self._settings.leave_out_accounts))
        for account in asked:
            try:
                for answer, name in self._reports(account, self._days(cursor, now)):
                    if held is not None:
                        yield held
                    held = Page(answer.body, answer.content_type, None, name, headers)
            except PermanentError as error:
                if error.status not in (403, 404):
                    raise
                refused[account] = error
        if refused and len(refused) == len(asked):  # that is the key, and no account's matter
            raise next(iter(refused.values()))
        for account, refusal in refused.items():
            if held is not None:
                yield held
            held = Page(refusal.detail.encode(), "text/plain", None, f"balance reports {account}", {**headers, REFUSED_HEADER: account})
        if held is not None:
            yield replace(held, cursor=moved, complete_until=now)

    def _reports(self, account: str, days: Sequence[date] | None) -> Iterator[tuple[Answer, str]]:
        """The balance reports of an account: of each of these days, or all of them."""
        path = f"internal_accounts/{quote(account, safe='')}/balance_reports"
        asked: Sequence[Mapping[str, str]] = [{}] if days is None else [{"as_of_date": day.isoformat()} for day in days]
        for params in asked:
            for listing in self._session.pages(path, params):
                yield listing.answer, f"balance reports {account} {params.get('as_of_date', 'all')}"

    def _days(self, cursor: Cursor | None, now: datetime) -> Sequence[date] | None:
        """The days to ask for one by one; None for everything."""
        today = now.astimezone(UTC).date()
        said = (cursor or {}).get("through")
        if not said:
            return None
        through = min(date.fromisoformat(str(said)), today)
        if (today - through).days > DAYS_ONE_BY_ONE:
            return None
        return _days_between(through - timedelta(days=self._settings.balance_reread_days), today)

    def _last_days(self, now: datetime) -> Sequence[date]:
        today = now.astimezone(UTC).date()
        return _days_between(today - timedelta(days=self._settings.balance_reread_days), today)

    def _entities(self, stream: str) -> dict[str, str | None]:
        """Account id -> our legal entity; asked for only where the connection holds accounts of several."""
        if stream == "accounts" or not self._settings.legal_entity_by_account:
            return {}
        return {str(row["id"]): self._settings.entity_of(row) for row in self._session.all_of("internal_accounts") if row.get("id")}


def _days_between(first: date, last: date) -> list[date]:
    return [first + timedelta(days=step) for step in range((last - first).days + 1)]
