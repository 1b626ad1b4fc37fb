"""What the API holds before any door is asked, whoever is called, by raw sockets where an HTTP client would be too polite."""

from __future__ import annotations

import select
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing

import httpx
import pytest

from app.api import bodies
from tests.postgres.door_cases import CASES, OwnDoor
from tests.postgres.doors_house import SECRET, Doors, Sent


class TestBeforeTheDoors:
    case = OwnDoor()

    @pytest.fixture(autouse=True)
    def _clean(self, doors: Doors) -> Iterator[None]:
        doors.clear()
        yield
        doors.check()

    def raw(self, doors: Doors, *parts: bytes, leave: bool = False) -> bytes:
        """All that is answered to these bytes until the server closes; `leave`: we go away once they are sent."""
        with closing(socket.create_connection(doors.address, timeout=30)) as wire:
            for part in parts:
                wire.sendall(part)
            if leave:
                wire.shutdown(socket.SHUT_WR)
            return self.rest(wire)

    def rest(self, wire: socket.socket) -> bytes:
        """What comes until the server closes."""
        return b"".join(iter(lambda: wire.recv(65_536), b""))

    def lines(self, sent: Sent, *more: str, host: str = "doors", path: str = "/webhooks/treasury") -> bytes:
        """The head of a request."""
        headers = b"".join(name + b": " + value + b"\r\n" for name, value in sent.raw())
        first = [f"POST {path} HTTP/1.1", f"Host: {host}", "Connection: close", *more, ""]
        return "\r\n".join(first).encode() + headers + b"\r\n"

    def test_only_post_gets_in(self, doors: Doors) -> None:
        """Whatever is called otherwise is told what there is, alike for a connection that there is and one that is not."""
        with httpx.Client(base_url=doors.url, verify=False) as client:
            for method in ("GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"):
                for name in ("treasury", "erp", "nowhere"):
                    answer = client.request(method, f"/webhooks/{name}", headers=self.case.request().raw())
                    assert (method, answer.status_code, answer.headers["allow"]) == (method, 405, "POST")
        assert set(doors.stored().values()) == {0}

    def test_a_sender_is_told_whether_it_may_deliver(self, doors: Doors) -> None:
        """CloudEvents' question beforehand: yes to whom the connection names, no to others, to systems that don't ask so, and to nobody."""
        asked = {"WebHook-Request-Origin": "eventmesh.example", "WebHook-Request-Rate": "100"}
        with httpx.Client(base_url=doors.url, verify=False) as client:
            answer = client.options("/webhooks/erp", headers=asked)
            assert (answer.status_code, answer.headers["allow"]) == (200, "POST")
            assert (answer.headers["webhook-allowed-origin"], answer.headers["webhook-allowed-rate"]) == ("eventmesh.example", "100")
            others: list[tuple[str, dict[str, str]]] = [("erp", {"WebHook-Request-Origin": "evil.example"}), ("erp", {})]
            for path, headers in (*others, *((name, asked) for name in ("erp-silent", "crm", "none"))):
                assert client.options(f"/webhooks/{path}", headers=headers).status_code == 405

    def test_an_address_is_taken_as_it_is(self, doors: Doors) -> None:
        """A name is a name however it is encoded; nothing is resolved, corrected or redirected."""
        sent = self.case.request()
        wrong = {
            "/webhooks/treasury/": 404, "/webhooks//treasury": 404, "//webhooks/treasury": 404, "/webhooks/./treasury": 404, "/webhooks": 404,
            "/webhooks/x/../treasury": 404, "/webhooks/treasury%2f": 404, "/webhooks/%2e%2e/webhooks/treasury": 404, "/WEBHOOKS/treasury": 404,
            "/webhooks/Treasury": 401, "/webhooks/treasury%00": 401, "/webhooks/treasury;x=1": 401, "/webhooks/%2e": 401, "/webhooks/treasury%20": 401,
            "/webhooks/treasury%0d%0aX:1": 401, "/webhooks/" + "x" * 5_000: 401, "/webhooks/%ff": 401,
        }  # fmt: skip
        answers = {path: self.raw(doors, self.lines(sent, f"Content-Length: {len(sent.body)}", path=path), sent.body) for path in wrong}
        assert {path: int(answer[9:12]) for path, answer in answers.items()} == wrong
        assert not any(b"location:" in answer.lower() for answer in answers.values())
        assert set(doors.stored().values()) == {0}
        for path in ("/webhooks/%74reasury", "/webhooks/treasury?", "/webhooks/treasury?x=[&secret=y"):
            assert b" 202 " in self.raw(doors, self.lines(sent, f"Content-Length: {len(sent.body)}", path=path), sent.body)

    @pytest.mark.parametrize("host", ["[", "[::1", "a b", "\u00e4", "x/y?z#", "", "a@b:c"])
    def test_a_host_that_is_none_is_no_error_of_ours(self, doors: Doors, host: str) -> None:
        """What stands in the Host header decides nothing."""
        for name in ("treasury", "crm-strict"):
            sent = next(kind() for kind in CASES if kind().name == name).request()
            path = f"/webhooks/{name}?{sent.query}"
            answer = self.raw(doors, self.lines(sent, f"Content-Length: {len(sent.body)}", host=host, path=path), sent.body)
            assert answer[9:12] in (b"200", b"202", b"400")

    def test_a_body_that_drips_holds_nobody_and_ends(self, doors: Doors, monkeypatch: pytest.MonkeyPatch) -> None:
        """Forty senders that never come to an end: another is answered meanwhile; they are told at the deadline and let go of."""
        sent = self.case.request(7)
        with ExitStack() as closing_all:
            wires = self._dripping(doors, closing_all, sent)
            assert doors.post("treasury", self.case.request(8)).status_code == 202
            assert select.select(wires, [], [], 0)[0] == []
        monkeypatch.setattr(bodies, "SECONDS", 0.2)
        with ExitStack() as closing_all:
            wires = self._dripping(doors, closing_all, sent)
            dripping = threading.Thread(target=self._drip, args=(wires[0],), daemon=True)
            dripping.start()
            answers = [self.rest(wire) for wire in wires[1:]]
            assert {answer[9:12] for answer in answers} == {b"408"}
            dripping.join(30)
            assert not dripping.is_alive()
        assert list(doors.inbox("treasury")) == [self.case.inbox(8, 1)]

    def _dripping(self, doors: Doors, stack: ExitStack, sent: Sent) -> list[socket.socket]:
        """Forty requests whose bodies have begun, with and without a length."""
        wires = [stack.enter_context(closing(socket.create_connection(doors.address, timeout=30))) for _ in range(40)]
        for number, wire in enumerate(wires):
            wire.sendall(self.lines(sent, "Transfer-Encoding: chunked" if number % 2 else "Content-Length: 1000"))
            wire.sendall(b"1\r\nx\r\n" if number % 2 else b"x")
        return wires

    def _drip(self, wire: socket.socket) -> None:
        try:
            while True:
                wire.sendall(b"x")
                time.sleep(0.05)
        except OSError:
            return

    def test_a_body_without_an_end_is_cut_off(self, doors: Doors) -> None:
        """In chunks for ever: it is told so, and the connection is closed; a length beyond reason is refused before a byte is read."""
        sent = self.case.sealed(b"x")
        chunk = b"10000\r\n" + b"x" * 65_536 + b"\r\n"
        with closing(socket.create_connection(doors.address, timeout=30)) as wire:
            wire.sendall(self.lines(sent, "Transfer-Encoding: chunked"))
            with pytest.raises(OSError, match=r"."):
                for _ in range(5_000):
                    wire.sendall(chunk)
        assert b" 413 " in self.raw(doors, self.lines(sent, "Content-Length: 99999999999", "Expect: 100-continue"))
        assert set(doors.stored().values()) == {0}

    def test_a_body_that_is_cut_off_leaves_nothing(self, doors: Doors) -> None:
        """The sender goes away half-way, with or without a length: nothing is kept of what came."""
        sent = self.case.request()
        self.raw(doors, self.lines(sent, f"Content-Length: {len(sent.body)}"), sent.body[:-1], leave=True)
        self.raw(doors, self.lines(sent, "Transfer-Encoding: chunked"), f"{len(sent.body):x}\r\n".encode() + sent.body, leave=True)
        assert doors.post("treasury", self.case.request(2)).status_code == 202
        assert list(doors.inbox("treasury")) == [self.case.inbox(2, 1)]

    def test_headers_that_no_sender_sends_are_refused(self, doors: Doors) -> None:
        """A proof twice, in pieces, with letters that are none: refused, never an error of ours."""
        sent = self.case.request()
        body = f"Content-Length: {len(sent.body)}"
        proof = str(sent.headers["x-tidegate-signature"])
        for lines in (
            ("X-Tidegate-Signature: t=1,v1=00",),
            ("X-Tidegate-Signature: \x01",),
            ("X-Tidegate-Signature",),
            (f" {proof}",),
            (": x",),
        ):
            bare = sent.but(x_tidegate_signature=None)
            assert self.raw(doors, self.lines(bare, body, *lines), sent.body)[9:12] in (b"400", b"401")
        for number in ("-1", "+5", "1e3", "5, 6", "", "x"):
            assert self.raw(doors, self.lines(sent, f"Content-Length: {number}"), sent.body)[9:12] in (b"400", b"401")
        assert set(doors.stored().values()) == {0}

    def test_no_secret_is_kept_or_told(self, doors: Doors) -> None:
        """Neither in the database nor in what is answered: the proof of an event that was taken."""
        for kind in CASES:
            case = kind()
            assert SECRET not in doors.post(case.name, case.request()).text
        found = doors.rows("select headers::text || coalesce(name, '') || coalesce(content_type, '') as words from raw.page")
        assert len(found) >= 8
        assert not any(SECRET in row.words for row in found)
