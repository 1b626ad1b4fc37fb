"""Reading the ECB's files: the daily one often, the history once, and the last ninety days to heal what was missed or revised."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

import polars as pl
from currency_converter import currency_converter as package

from sync.canonical.contracts import FxRate
from sync.clock_skew import clock_finding
from sync.connections import Connection
from sync.errors import DataError, PermanentError, SourceError, TransientError
from sync.http import Answer, Client, wall_clock
from sync.ports import Capabilities, Cursor, Finding, Mapped, Page, Stream
from sync.systems.ecb.mapping import map_file
from sync.systems.ecb.settings import Settings
from sync.systems.ecb.wire import ASKED_HEADER, BEFORE_HEADER, KNOWN_HEADER, digests, is_day, rates

DAILY = Stream("daily", (FxRate.entity,), Capabilities(incremental=True))
HISTORY = Stream("history", (FxRate.entity,), Capabilities(incremental=True, snapshot=True))
RECENT = timedelta(days=90)


class EcbSource:
    """The rates as a source. Cursors: {"known": day -> digest of its rates, "before": currency -> [day, rate]}; of the shipped file
    {"shipped": its newest day}.
    """

    def __init__(self, connection: Connection, settings: Settings) -> None:
        self._connection = connection
        self._settings = settings
        self._client = Client(connection, settings.base_url) if settings.base_url else None

    def streams(self) -> Sequence[Stream]:
        """Both files; without an address the shipped history alone."""
        return (DAILY, HISTORY) if self._client is not None else (HISTORY,)

    def pull(self, stream: str, cursor: Cursor | None, *, now: datetime) -> Iterator[Page]:
        """One page: the file as it is now. See the class for what a cursor holds."""
        offered = [each.name for each in self.streams()]
        if stream not in offered:
            raise PermanentError(f"ecb has no stream {stream!r}; it has {', '.join(offered)}", connection=self._connection.name)
        if self._client is None:
            return self._shipped(cursor)
        return self._file(stream, cursor, now)

    def map(self, stream: str, page: Page) -> Mapped:  # noqa: ARG002
        """Pure; see mapping.map_file."""
        return map_file(page, self._settings)

    def close(self) -> None:
        """Lets go of every connection."""
        if self._client is not None:
            self._client.close()

    def probe(self, *, now: datetime) -> Iterator[Finding]:
        """The address, the clock, and a first page of each file."""
        if self._client is None:
            yield self._first_page(HISTORY.name, next(self._shipped(None)))
            return
        daily = self._ask(self._settings.daily_file)
        yield Finding("address", ok=True, words=f"{self._client.base_url} gave {self._settings.daily_file}")
        yield clock_finding(daily.headers, wall=wall_clock())
        yield self._first_page(DAILY.name, self._page(daily, self._settings.daily_file, {}, {}, now))
        for name in (self._settings.recent_file, self._settings.history_file):
            try:
                answer = self._ask(name)
            except SourceError as error:
                yield Finding(f"{HISTORY.name} {name}", ok=False, words=error.detail)
                continue
            yield self._first_page(f"{HISTORY.name} {name}", self._page(answer, name, {}, {}, now))

    def _first_page(self, what: str, page: Page) -> Finding:
        try:
            mapped = self.map(what, page)
        except SourceError as error:
            return Finding(f"{what} first page", ok=False, words=error.detail)
        newest, bad = mapped.frames[FxRate.entity]["rate_date"].max(), mapped.rejects.height
        words = f"{mapped.records} rates read, {bad} could not be mapped; the newest is of {newest!s}"
        return Finding(f"{what} first page", ok=not bad and newest is not None, words=words)

    def _shipped(self, cursor: Cursor | None) -> Iterator[Page]:
        """The file that the package of the rates ships, its bytes as they are."""
        path = Path(package.CURRENCY_FILE)
        newest = _newest(path, path.stat().st_mtime_ns)
        if (cursor or {}).get("shipped") != newest:
            complete = datetime.combine(date.fromisoformat(newest), datetime.min.time(), UTC) + timedelta(days=1)
            yield Page(path.read_bytes(), "application/zip", {"shipped": newest}, path.name, complete_until=complete)

    def _file(self, stream: str, cursor: Cursor | None, now: datetime) -> Iterator[Page]:
        today = now.astimezone(UTC).date()
        # held to the present: what a wrong clock wrote must not hide what changes from now on
        known = {day: seen for day, seen in _held(cursor, "known").items() if day <= today.isoformat()}
        before = {code: told for code, told in _held(cursor, "before").items() if told[0] <= today.isoformat()}
        name = self._settings.daily_file if stream == DAILY.name else self._settings.recent_file if known else self._settings.history_file
        answer = self._ask(name)
        if name == self._settings.recent_file and _begins(answer.body) > max(known):
            name = self._settings.history_file  # the ninety days would leave a hole behind what is known
            answer = self._ask(name)
        yield self._page(answer, name, known, before, now)

    def _ask(self, name: str) -> Answer:
        """A file. TransientError when a page of HTML came in its place, as from a proxy that wants a login."""
        if self._client is None:
            raise AssertionError("without an address nothing is asked for")
        answer = self._client.get(name, expect="xml" if name.endswith(".xml") else "any")
        if "html" in answer.content_type:
            raise TransientError(f"{answer.place}: answered with {answer.content_type} where a file was expected", status=answer.status)
        return answer

    def _page(self, answer: Answer, name: str, known: dict[str, Any], before: dict[str, Any], now: datetime) -> Page:
        """The file as a page, with what is known of its days. TransientError when it was cut; what its sender meant so and can't be read
        goes on as it is, without a cursor, to be quarantined with its bytes.
        """
        headers = {ASKED_HEADER: now.isoformat()}
        try:
            found = rates(answer.body)
        except DataError as error:
            framed = "content-length" in answer.headers or "transfer-encoding" in answer.headers
            if framed and answer.body:
                return Page(answer.body, answer.content_type, None, name, headers)
            raise TransientError(f"{answer.place}: {error.detail}", connection=self._connection.name, status=answer.status) from error
        days = digests(found)
        # what is older than the digests that are kept was read with the whole history
        oldest = min(known, default="")
        same = sorted(day for day, seen in days.items() if (is_day(day) and day < oldest) or known.get(day) == seen)
        headers |= {KNOWN_HEADER: json.dumps(same), BEFORE_HEADER: json.dumps(_earlier(before, found))}
        today = now.astimezone(UTC).date().isoformat()
        read = {day: seen for day, seen in days.items() if day <= today}  # a day to come was refused: it is still to be read
        moved = {"known": _recent({**known, **read}), "before": _last(before, found)} if days else None
        return Page(answer.body, answer.content_type, moved, name, headers, complete_until=now)


@lru_cache(maxsize=1)
def _newest(path: Path, changed_ns: int) -> str:  # noqa: ARG001  (another stamp is another file)
    return str(rates(path.read_bytes())["day"].max())


def _begins(body: bytes) -> str:
    """The first day of a file; "" of one that can't be read, which is judged later."""
    try:
        return str(rates(body)["day"].min() or "")
    except DataError:
        return ""


def _recent(known: dict[str, str]) -> dict[str, str]:
    """The digests of the newest ninety days of what is known, whenever that was."""
    days = [day for day in known if is_day(day)]
    first = (date.fromisoformat(max(days)) - RECENT).isoformat() if days else ""
    return {day: seen for day, seen in sorted(known.items()) if day >= first}


def _held(cursor: Cursor | None, name: str) -> dict[str, Any]:
    value = (cursor or {}).get(name)
    return dict(value) if isinstance(value, dict) else {}


def _earlier(before: dict[str, Any], found: pl.DataFrame) -> dict[str, Any]:
    """The rates known from before the first day of the file."""
    first = str(found["day"].min())
    return {code: told for code, told in before.items() if told[0] < first}


def _last(before: dict[str, Any], found: pl.DataFrame) -> dict[str, Any]:
    """Currency -> [day, rate], the newest known."""
    newest = found.drop_nulls().sort("day").unique("currency", keep="last", maintain_order=True)
    fresh = {str(code): [str(day), str(rate)] for day, code, rate in newest.select("day", "currency", "rate").iter_rows()}
    return dict(sorted({**before, **{code: told for code, told in fresh.items() if told[0] >= before.get(code, [""])[0]}}.items()))
