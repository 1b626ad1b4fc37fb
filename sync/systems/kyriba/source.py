"""Reading a treasury tenant: accounts as a listing, balances in windows of 31 days, cash flows by their update stamp."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from urllib.parse import quote

from sync.canonical.contracts import BankAccount, BankBalance, ForecastItem
from sync.connections import Connection
from sync.errors import DataError, PermanentError, SourceError, TransientError
from sync.http import Answer
from sync.ports import Capabilities, Cursor, Finding, Mapped, Page, Stream
from sync.systems.kyriba.answers import Listing
from sync.systems.kyriba.client import LISTING_PAGES_MAX, Session
from sync.systems.kyriba.mapping import map_page
from sync.systems.kyriba.settings import Settings
from sync.systems.kyriba.wire import context, stamps, windows
from sync.watermark import Mark
from sync.wire_frames import decode, split

PAGES_MAX = 100_000
STREAMS = (
    Stream("accounts", (BankAccount.entity,), Capabilities(incremental=False, snapshot=True)),
    Stream("balances", (BankBalance.entity,)),
    Stream("cash_flows", (ForecastItem.entity,), Capabilities(writes=True)),
)


class KyribaSource:
    """A tenant as a source. Cursors: accounts {"asked"}, balances {"through"} a date and {"seen"} digests of the last answers, cash flows {"since", "reach"} stamps in UTC."""

    def __init__(self, connection: Connection, settings: Settings, session: Session) -> None:
        self._connection = connection
        self._settings = settings
        self._session = session

    def streams(self) -> Sequence[Stream]:
        return STREAMS

    def pull(self, stream: str, cursor: Cursor | None, *, now: datetime) -> Iterator[Page]:
        """Pages from the cursor on; see the class for what a cursor holds."""
        if stream == "accounts":
            return self._accounts(now)
        if stream == "balances":
            return self._balances(cursor, now)
        if stream == "cash_flows":
            return self._flows(cursor, now)
        raise PermanentError(
            f"kyriba has no stream {stream!r}; it has {', '.join(s.name for s in STREAMS)}", connection=self._connection.name
        )

    def map(self, stream: str, page: Page) -> Mapped:
        """Pure; see mapping.map_page."""
        return map_page(stream, page, self._settings)

    def calls(self) -> tuple[int, int | None]:
        """Calls used and their limit; see sync.http_gate.Budget."""
        return self._session.client.gate.budget.standing

    def close(self) -> None:
        self._session.close()

    def probe(self, *, now: datetime) -> Iterator[Finding]:
        """Address and credentials, then a first page of each stream."""
        self._session.login()
        yield Finding("credentials", ok=True, words=f"{self._settings.auth_url} gave a token")
        for stream in STREAMS:
            yield self._first_page(stream.name, now)

    def _first_page(self, stream: str, now: datetime) -> Finding:
        what = f"{stream} first page"
        try:
            page = next(self.pull(stream, {"through": now.date().isoformat(), "since": now.isoformat()}, now=now), None)
            if page is None:
                return Finding(what, ok=False, words="the tenant lists no account for this user")
            mapped = self.map(stream, page)
        except SourceError as error:
            return Finding(what, ok=False, words=error.detail)
        bad = mapped.rejects.height
        return Finding(what, ok=not bad, words=f"{mapped.records} records read, {bad} could not be mapped")

    def _accounts(self, now: datetime) -> Iterator[Page]:
        offset = 0
        seen: set[bytes] = set()
        for number in range(1, LISTING_PAGES_MAX):
            answer, page = self._session.listing("v1/accounts", {}, offset=offset)
            self._not_seen(answer, seen)
            offset += page.step
            last = self._is_last(answer, page, offset)
            yield self._page(
                answer, f"accounts {number}", {}, now, {"asked": now.isoformat()} if last else None, complete_until=now if last else None
            )
            if last:
                return

    def _balances(self, cursor: Cursor | None, now: datetime) -> Iterator[Page]:
        """Every account in every window, oldest window first. The cursor moves when a window is whole; corrected days are read again.

        An answer of the newest window that is the same as last time brings no page, so that asking often costs little.
        """
        companies = self._companies()
        today = now.astimezone(UTC).date()
        known = dict((cursor or {}).get("seen") or {})
        for start, end in windows(self._first_day(cursor, today), today):
            seen: dict[str, str] = {}
            for place, code in enumerate(sorted(companies), start=1):
                answer = self._window(code, start, end)
                seen[code] = hashlib.sha256(f"{start} {end} ".encode() + answer.body).hexdigest()[:24]
                whole = place == len(companies)
                if known.get(code) == seen[code] and not whole:
                    continue
                moved = {"through": end.isoformat(), "seen": seen} if whole else None
                until = now if whole and end == today else None
                yield self._page(answer, f"balances {code} {start} to {end}", companies, now, moved, complete_until=until)

    def _window(self, code: str, start: date, end: date) -> Answer:
        params = {"startDate": str(start), "endDate": str(end), "dateType": "VALUE", "actual": "true", "intraday": "true"}
        answer = self._session.get(f"v1/cash-balances/accounts/{quote(code, safe='')}/balances", params)
        self._of_account(answer, code)
        return answer

    def _of_account(self, answer: Answer, code: str) -> None:
        """An answer about another account than the one asked for would hide the asked one's balances for good."""
        try:
            rows = decode(split(answer.body, "cashBalance").records)
        except DataError as error:
            raise TransientError(f"{answer.place}: {error.detail}", connection=self._connection.name) from error
        accounts = {row["account"].get("code") for row in rows.sound if isinstance(row.get("account"), dict)}
        if accounts - {code, None}:
            raise TransientError(f"{answer.place}: the answer is about another account", connection=self._connection.name)

    def _first_day(self, cursor: Cursor | None, today: date) -> date:
        if not cursor or not cursor.get("through"):
            return today - timedelta(days=self._settings.balance_history_days)
        through = min(date.fromisoformat(str(cursor["through"])), today)
        return through - timedelta(days=self._settings.balance_reread_days)

    def _flows(self, cursor: Cursor | None, now: datetime) -> Iterator[Page]:
        """By update stamp, oldest first. Offsets shift when a record changes while we read, so after each page the filter itself
        moves on to the last stamp; offsets are used only among records of one stamp, and where the tenant does not sort.
        """
        companies = self._companies()
        mark = Mark.of(cursor, now)
        at = mark.start(timedelta(minutes=self._settings.look_back_minutes))
        offset = 0
        seen: set[bytes] = set()
        for number in range(1, PAGES_MAX):
            answer, page = self._session.listing("v1/cash-flows", self._asked_from(at), offset=offset)
            self._not_seen(answer, seen)
            name = f"cash flows {number}"
            found = stamps(page.rows)
            offset += page.step
            if self._is_last(answer, page, offset):
                mark.advance(max(found, default=None), now)
                yield self._page(answer, name, companies, now, mark.cursor(done=True), complete_until=now)
                return
            if found and found == sorted(found):
                mark.advance(found[-1], now)
                second = found[-1].replace(microsecond=0)  # the filter knows whole seconds
                if at is None or second > at:
                    at, offset = second, 0
                    seen.clear()  # a filter that leaves out nothing brings the same page once more, and that is no circle
            yield self._page(answer, name, companies, now, mark.cursor() if found == sorted(found) else None, complete_until=None)

    def _asked_from(self, at: datetime | None) -> dict[str, str]:
        params = {"dateType": "UPDATE", "sort": "updateDateTime"}
        if at is not None:
            params["filter"] = f"updateDateTime=ge={at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
        return params

    def _companies(self) -> dict[str, str | None]:
        """Account code -> its company's code, of every account that the tenant lists to us."""
        found: dict[str, str | None] = {}
        offset = 0
        for _ in range(LISTING_PAGES_MAX):
            answer, page = self._session.listing("v1/accounts", {}, offset=offset)
            for row in page.rows.sound:
                company = row.get("company")
                code = company.get("code") if isinstance(company, dict) else None
                if row.get("code"):
                    found[str(row["code"])] = None if code is None else str(code)
            offset += page.step
            if self._is_last(answer, page, offset):
                break
        return found

    def _is_last(self, answer: Answer, page: Listing, read: int) -> bool:
        """Whether the listing is read to its end; TransientError when the page is shorter than the rest of it allows."""
        if read >= page.total:
            return True
        if page.rows.total < page.limit:
            raise TransientError(
                f"{answer.place}: {read} of {page.total} records came, and the page was not full", connection=self._connection.name
            )
        return False

    def _not_seen(self, answer: Answer, seen: set[bytes]) -> None:
        digest = hashlib.sha256(answer.body).digest()
        if digest in seen:
            raise TransientError(
                f"{answer.place}: the same page came twice; the listing goes round in circles", connection=self._connection.name
            )
        seen.add(digest)

    def _page(
        self,
        answer: Answer,
        name: str,
        companies: dict[str, str | None],
        now: datetime,
        cursor: Cursor | None,
        *,
        complete_until: datetime | None,
    ) -> Page:
        return Page(answer.body, answer.content_type, cursor, name, context(companies, now), complete_until)
