"""The wire at its worst under every HTTP adapter, over real sockets: the source faults that any system can show, one suite for all.

An adapter's author names its `AdapterCase` with the scripted server behind it in tests/contracts/test_wire_faults.py. Each test breaks
the wire for a while and heals it: nothing half-read is believed, no error is foreign, nothing hangs, and once healed a pull from the
committed cursor ends with the same facts as if nothing had happened.
"""

from __future__ import annotations

import gzip
import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import format_datetime
from functools import cache

import pytest

from sync import http, http_gate
from sync.errors import AuthError, PermanentError, QuotaError, SourceError, TransientError
from sync.ports import Cursor, Pending
from tests.contracts.suite import DAY, MINUTE, AdapterCase
from tests.contracts.suite_server import Asked, Reply, ScriptedServer
from tests.contracts.suite_store import Store, pull

RECORDS = 7
CALLS_MAX = 40
"""More calls than this in one failing pull are a loop."""

BROKEN_CALLS = 5
"""About so many of a pull's calls are broken, one pull for each; a pull of fewer calls is broken at every one."""

LOGIN_PAGE = b"<!DOCTYPE html><html><head><title>Log on</title></head><body><form>User</form></body></html>"
Answer = Callable[[], Reply]


@dataclass
class Wire:
    """One adapter on the suite's bench. `renews`: it logs in for a token, and a refused one is renewed once; else 401 is final.

    `refusal` is the body with which the system refuses a token. `one_call`: a pull is a single request, so that none comes later.
    """

    case: AdapterCase
    server: ScriptedServer
    renews: bool = True
    refusal: bytes = b'{"error":"invalid_token"}'
    one_call: bool = False
    is_login: Callable[[Asked], bool] = field(default=lambda asked: "token" in asked.path.lower() or "login" in asked.path.lower())

    def break_data(self, fault: Callable[[Answer], Reply], *, first: int = 1, times: int | None = None) -> list[Asked]:
        """From the `first`-th data request on, `times` of them (None: all) are answered by `fault`; returns the broken ones."""
        seen, broken, first = [0], list[Asked](), 1 if self.one_call else first

        def between(asked: Asked, answer: Answer) -> Reply:
            if self.is_login(asked):
                return answer()
            seen[0] += 1
            if seen[0] < first or (times is not None and len(broken) >= times):
                return answer()
            broken.append(asked)
            return fault(answer)

        self.server.between = between
        return broken

    def heal(self) -> None:
        """The wire is whole again, and what the process learnt of the outage is forgotten, as after a restart."""
        self.server.between = None
        forget_gates()


def forget_gates() -> None:
    """Every connection's memory of waits, budgets and outages is empty."""
    http_gate._GATES.clear()


def _fill(case: AdapterCase) -> dict[str, Decimal]:
    for n in range(1, RECORDS + 1):
        case.put(f"k{n}", 100 + n, case.now - 5 * DAY + n * MINUTE)
    return {case.source_key(f"k{n}"): Decimal(100 + n) for n in range(1, RECORDS + 1)}


def _worths(case: AdapterCase, store: Store) -> dict[str, Decimal]:
    return {key: case.worth(row) for key, row in store.live(case.entity).items()}


def _broken_pull(wire: Wire, store: Store, cursor: Cursor | None = None) -> tuple[SourceError | None, Cursor | None]:
    """A pull on a broken wire: the error that ended it, and the cursor that was committed. Foreign errors fail the test.

    Where the system needs time the pull is taken up again at once from the cursor it gave, so that the faults reach every later call too.
    """
    case, committed = wire.case, cursor
    before = len(wire.server.asked)
    try:
        with closing(case.source()) as source:
            for _ in range(CALLS_MAX):
                again = False
                for item in source.pull(case.stream, committed, now=case.now):
                    if isinstance(item, Pending):
                        committed, again = item.cursor, True
                        break
                    store.take(source.map(case.stream, item))
                    committed = item.cursor or committed
                if not again:
                    return None, committed
            raise AssertionError("the system is never done preparing")
    except SourceError as error:
        assert error.detail
        return error, committed
    finally:
        assert len(wire.server.asked) - before <= CALLS_MAX, "a failing pull calls without end"


def _ends_whole(wire: Wire, store: Store, cursor: Cursor | None, truth: dict[str, Decimal]) -> None:
    held = _worths(wire.case, store)
    assert held.items() <= truth.items(), "something half-read was believed"
    assert store.rejects == []
    wire.heal()
    with closing(wire.case.source()) as source:
        pull(source, wire.case.stream, cursor, store, now=wire.case.now)
    assert _worths(wire.case, store) == truth
    assert store.rejects == []


@cache
def _bomb() -> bytes:
    return gzip.compress(b" " * (http.BODY_BYTES_MAX + (1 << 20)), 1)


def vanish(_answer: Answer) -> Reply:
    """The connection ends without a word."""
    return Reply(raw=lambda _write: None)


def status(code: int, body: bytes = b"", content_type: str = "text/html", **headers: str) -> Callable[[Answer], Reply]:
    """An answer of this status and body, whatever was asked."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _answer: Reply(body, code, content_type, given)


def cut(*, told: bool) -> Callable[[Answer], Reply]:
    """Half the body; `told`: the head announced all of it."""

    def fault(answer: Answer) -> Reply:
        reply = answer()
        length = f"Content-Length: {len(reply.body)}\r\n" if told else ""
        head = f"HTTP/1.1 {reply.status} OK\r\nContent-Type: {reply.content_type}\r\n{length}Connection: close\r\n\r\n"
        return Reply(raw=lambda write: write(head.encode() + reply.body[: len(reply.body) // 2]))

    return fault


def drip(answer: Answer) -> Reply:
    """The body a byte at a time, for as long as somebody listens."""
    reply = answer()

    def write(out: Callable[[bytes], None]) -> None:
        out(f"HTTP/1.1 200 OK\r\nContent-Type: {reply.content_type}\r\nContent-Length: {len(reply.body)}\r\n\r\n".encode())
        for at in range(len(reply.body)):
            out(reply.body[at : at + 1])
            time.sleep(0.1)

    return Reply(raw=write)


class WireSuite:
    """Give it a `wire` fixture; every test below then runs."""

    @pytest.fixture
    def wire(self) -> Wire:
        raise NotImplementedError("give the subclass a wire fixture")

    @pytest.fixture(autouse=True)
    def _no_memory(self) -> Iterator[None]:
        forget_gates()
        yield
        forget_gates()

    @pytest.mark.parametrize("first", [1, 2])
    @pytest.mark.parametrize(
        "fault",
        [vanish, status(500), status(502, b"<html>Bad gateway</html>"), status(503, b"<error/>", "application/xml"), cut(told=True), cut(told=False)],
        ids=["closed", "500 empty", "502 html", "503 xml", "cut", "cut without a length"],
    )  # fmt: skip
    def test_an_outage_is_transient_and_costs_nothing(self, wire: Wire, fault: Callable[[Answer], Reply], first: int) -> None:
        """However a system fails to answer, the pull ends with an outage, and the next one brings everything."""
        truth, store = _fill(wire.case), Store()
        broken = wire.break_data(fault, first=first)
        error, cursor = _broken_pull(wire, store)
        if not broken:
            pytest.fail("the pull made fewer calls than the test breaks: give the case smaller pages")
        assert isinstance(error, TransientError), error
        _ends_whole(wire, store, cursor, truth)

    def test_an_outage_at_any_call_costs_nothing(self, wire: Wire) -> None:
        """Whichever call of a pull finds the wire broken, also one made after a wait: nothing half-read is believed, nothing is lost.

        What the adapter can do without, such as taking a finished job away, may go by without an error.
        """
        truth = _fill(wire.case)
        calls = wire.break_data(lambda answer: answer())
        _broken_pull(wire, Store())
        faults = itertools.cycle((cut(told=False), status(502, b"<html>Bad gateway</html>")))
        for first, fault in zip(sorted({*range(1, len(calls), -(-len(calls) // BROKEN_CALLS)), len(calls)}), faults, strict=False):
            forget_gates()
            store = Store()
            broken = wire.break_data(fault, first=first, times=1)
            error, cursor = _broken_pull(wire, store)
            assert broken, f"call {first} of {len(calls)} was not made"
            assert error is None or isinstance(error, TransientError), (broken[0].path, error)
            _ends_whole(wire, store, cursor, truth)

    @pytest.mark.parametrize("form", ["seconds", "date"])
    def test_a_wait_is_obeyed(self, wire: Wire, form: str) -> None:
        """429 with Retry-After in either form: its moment is kept, and no call leaves before it."""
        truth, store = _fill(wire.case), Store()
        until = datetime.now(UTC) + timedelta(seconds=90)
        wire.break_data(status(429, Retry_After="90" if form == "seconds" else format_datetime(until, usegmt=True)), first=2)
        error, cursor = _broken_pull(wire, store)
        assert isinstance(error, QuotaError), error
        assert error.retry_at is not None
        assert abs((error.retry_at - until).total_seconds()) < 30
        calls = len(wire.server.asked)
        again, _ = _broken_pull(wire, Store(), cursor)
        assert isinstance(again, QuotaError)
        assert len(wire.server.asked) == calls, "a call left before the time that the system named"
        _ends_whole(wire, store, cursor, truth)

    def test_a_wait_without_a_time_is_quota_too(self, wire: Wire) -> None:
        """429 without Retry-After and with an empty body is no permanent error."""
        truth, store = _fill(wire.case), Store()
        wire.break_data(status(429))
        error, cursor = _broken_pull(wire, store)
        assert isinstance(error, QuotaError), error
        _ends_whole(wire, store, cursor, truth)

    def test_a_login_page_is_no_answer(self, wire: Wire) -> None:
        """200 with HTML where records were expected moves no cursor and is nobody's bad record."""
        truth, store = _fill(wire.case), Store()
        wire.break_data(status(200, LOGIN_PAGE))
        error, cursor = _broken_pull(wire, store)
        assert isinstance(error, SourceError)
        assert error.kind in ("transient", "auth", "permanent"), error.kind
        _ends_whole(wire, store, cursor, truth)

    def test_a_dripped_body_ends_at_the_deadline(self, wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
        """One byte at a time restarts no clock: the request ends when its total time is over."""
        truth, store = _fill(wire.case), Store()
        wire.break_data(drip)
        began = time.monotonic()
        with monkeypatch.context() as hasty:
            hasty.setattr(http, "DEADLINE_SECONDS", 0.5)
            error, cursor = _broken_pull(wire, store)
        assert isinstance(error, TransientError), error
        assert time.monotonic() - began < 20
        _ends_whole(wire, store, cursor, truth)

    def test_a_gzip_bomb_is_cut_off(self, wire: Wire) -> None:
        """A small body that unpacks beyond the cap is refused while it is read."""
        truth, store = _fill(wire.case), Store()
        wire.break_data(lambda _answer: Reply(_bomb(), headers={"Content-Encoding": "gzip"}))
        error, cursor = _broken_pull(wire, store)
        assert isinstance(error, PermanentError), error
        assert "MB" in error.detail
        _ends_whole(wire, store, cursor, truth)

    @pytest.mark.parametrize("code", [302, 307])
    def test_a_redirect_is_not_followed(self, wire: Wire, code: int) -> None:
        """Another host named by a redirect is never called, least of all with our credentials."""
        truth, store = _fill(wire.case), Store()
        with ScriptedServer(lambda _asked: Reply(b"{}")) as elsewhere:
            wire.break_data(status(code, Location=f"{elsewhere.url}/stolen"))
            error, cursor = _broken_pull(wire, store)
            assert isinstance(error, SourceError)
            assert elsewhere.asked == []
        _ends_whole(wire, store, cursor, truth)

    def test_a_refused_token_is_renewed_once(self, wire: Wire) -> None:
        """401 on a later call: one new login and everything arrives; where there is no token to renew, a person has to act."""
        truth, store = _fill(wire.case), Store()
        wire.break_data(status(401, wire.refusal, "application/json"), first=2, times=1)
        error, cursor = _broken_pull(wire, store)
        if wire.renews:
            assert error is None, error
        else:
            assert isinstance(error, AuthError), error
        _ends_whole(wire, store, cursor, truth)

    def test_refused_for_good_ends_soon_and_says_so(self, wire: Wire) -> None:
        """401 on every call: a person has to act, after a few calls at most, and in words."""
        truth, store = _fill(wire.case), Store()
        broken = wire.break_data(status(401, wire.refusal, "application/json"))
        error, cursor = _broken_pull(wire, store)
        assert isinstance(error, AuthError), error
        assert len(broken) <= 4
        _ends_whole(wire, store, cursor, truth)

    def test_no_secret_stands_in_an_error(self, wire: Wire) -> None:
        """Whatever the system throws back at us, the words of an error hold none of the credentials we sent."""
        _fill(wire.case)
        sent: list[str] = []

        def between(asked: Asked, answer: Answer) -> Reply:
            sent.append(asked.headers.get("authorization", ""))
            echo = f"{asked.headers.get('authorization', '')} {asked.body.decode(errors='replace')}".encode()
            return answer() if wire.is_login(asked) else Reply(echo, 400, "text/plain")

        wire.server.between = between
        error, _ = _broken_pull(wire, Store())
        assert isinstance(error, SourceError)
        for secret in {word.split()[-1] for word in sent if word}:
            assert secret not in error.detail
        assert "s3cret" not in error.detail
