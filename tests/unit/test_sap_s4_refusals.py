"""What S/4HANA refuses, and what it answers to a $batch, in the forms that its gateways and those before them write."""

from __future__ import annotations

import httpx
import pytest

from sync.errors import PermanentError, TransientError
from sync.http import Answer
from sync.systems.sap_s4 import batch
from sync.systems.sap_s4.refusals import CsrfRequired, explain

V2 = (
    b'{"error":{"code":"V1/302","message":{"lang":"en","value":"Not changed"},"innererror":{"errordetails":['
    b'{"code":"V1/302","message":"Sales document 1 is not in the database","severity":"error"},{"code":"X","message":"Not changed"}]}}}'
)
V4 = b'{"error":{"code":"X","message":"plain","details":[{"code":"D","message":"the detail"}]}}'


@pytest.mark.parametrize(
    ("body", "kind", "words"),
    [
        (V2, "application/json;charset=utf-8", "V1/302 Not changed; Sales document 1 is not in the database"),
        (V4, "application/json", "X plain; the detail"),
        (V4, "", "X plain; the detail"),
        (V4, "text/plain", "X plain; the detail"),
        (b"\xef\xbb\xbf" + V4, "text/html", "X plain; the detail"),
        (b'<error xmlns="x"><code>A/1</code><message>from XML</message></error>', "", "A/1 from XML"),
        (b"<html><head><title>Service cannot be reached</title></head></html>", "text/html", "Service cannot be reached"),
        (b'{"fault":{"faultstring":"Invalid ApiKey","detail":{"errorcode":"x"}}}', "application/json", "Invalid ApiKey"),
    ],
)
def test_a_refusal_is_told_whatever_its_form(body: bytes, kind: str, words: str) -> None:
    """Details beside the message, no content type or a wrong one, a page, an API gateway's fault."""
    found = explain(Answer(400, httpx.Headers({"content-type": kind} if kind else {}), body, "GET /x"))
    assert isinstance(found, PermanentError)
    assert str(found) == f"GET /x: answered 400: {words}"


@pytest.mark.parametrize("header", [{"x-csrf-token": "Required"}, {"x-csrf-token": "required"}, {}])
def test_a_refused_token_is_known_also_without_its_header(header: dict[str, str]) -> None:
    """A proxy may take the header away: the words say it, too. Another 403 is none."""
    headers = httpx.Headers({"content-type": "text/plain", **header})
    assert isinstance(explain(Answer(403, headers, b"CSRF token validation failed", "PATCH /x")), CsrfRequired)
    assert explain(Answer(403, httpx.Headers({"content-type": "text/plain"}), b"not you", "PATCH /x")) is None


def part(body: bytes, status: bytes = b"200 OK") -> bytes:
    head = b"Content-Type: application/http\r\ncontent-transfer-encoding: binary\r\n\r\nHTTP/1.1 " + status
    return head + b"\r\nContent-Type: application/json\r\nContent-Length: " + str(len(body)).encode() + b"\r\n\r\n" + body


def multipart(boundary: bytes, *parts: bytes) -> bytes:
    return b"".join(b"--" + boundary + b"\r\n" + one + b"\r\n" for one in parts) + b"--" + boundary + b"--\r\n"


@pytest.mark.parametrize("ends", [b"\r\n", b"\n"])
@pytest.mark.parametrize(("kind", "boundary"), [("boundary=B", b"B"), ('Boundary="B"', b"B"), ('boundary="a b+c"', b"a b+c")])
def test_a_boundary_is_a_line_of_its_own(kind: str, boundary: bytes, ends: bytes) -> None:
    """Signs of it inside a record end nothing, nor does another boundary that begins with it; before and behind there may be words."""
    records = [b'{"a":"x --' + boundary + b' y"}', b'{"b":"--' + boundary + b'2"}']
    body = b"words before\r\n" + multipart(boundary, *map(part, records)) + b"words behind"
    found = batch.read(f"multipart/mixed; {kind}", body.replace(b"\r\n", ends))
    assert [one.body for one in found] == records


def test_a_change_set_stands_in_its_place() -> None:
    """Answers to changes are a multipart of their own within the whole one; a failed one is one part."""
    changes = b"Content-Type: multipart/mixed; boundary=B2\r\n\r\n" + multipart(
        b"B2", part(b"", b"204 No Content"), part(b"{}", b"201 Created")
    )
    found = batch.read("multipart/mixed; boundary=B", multipart(b"B", part(b"1"), changes, part(b'{"error":{}}', b"400 Bad Request")))
    assert [(one.status, one.body) for one in found] == [(200, b"1"), (204, b""), (201, b"{}"), (400, b'{"error":{}}')]


@pytest.mark.parametrize("cut", [b"\r\n--B--\r\n", b'{"a":1}\r\n--B--\r\n', b":1}\r\n--B--\r\n"])
def test_a_cut_answer_is_none(cut: bytes) -> None:
    """Whatever is missing of its end."""
    whole = multipart(b"B", part(b'{"a":1}'))
    with pytest.raises(TransientError, match="cut before its end"):
        batch.read("multipart/mixed; boundary=B", whole.removesuffix(cut))
