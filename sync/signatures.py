"""Webhook signatures: HMAC-SHA256 over the raw bytes, checked before anything is parsed. Pure: secrets and time come in."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

TOLERANCE_SECONDS = 300


class SignatureRefused(Exception):
    """The request does not prove who sent it. The words are for our log: the sender is told 401 and no more."""


@dataclass(frozen=True, slots=True)
class Scheme:
    """Where a sender puts its proof. `timestamped`: the header is `t=<unix seconds>,v1=<hex>` and signs `<t>.<body>`
    (the shape Stripe made common); else it is the bare hex digest of the body, as Modern Treasury sends it.
    """

    header: str = "x-tidegate-signature"
    timestamped: bool = True
    event_id_header: str | None = "x-event-id"


def sign(body: bytes, secret: str, *, at: datetime) -> str:
    """The timestamped header value for `body`, as a sender makes it."""
    stamp = str(int(at.timestamp()))
    return f"t={stamp},v1={_digest(secret, stamp.encode() + b'.' + body)}"


def check(scheme: Scheme, headers: Mapping[str, str], body: bytes, secrets: Sequence[str], *, now: datetime) -> None:
    """Passes when one of `secrets` (the live ones, two during a rotation) signed `body` within the tolerance of `now` (wall time).

    Raises SignatureRefused, also when no secret is configured: it fails closed. Old and future stamps are refused alike.
    """
    if not secrets:
        raise SignatureRefused("no webhook secret is configured for this connection")
    given = headers.get(scheme.header.lower())
    if not given:
        raise SignatureRefused(f"the header {scheme.header} is missing")
    if scheme.timestamped:
        stamp, candidates = _parts(given)
        if abs(now.timestamp() - stamp) > TOLERANCE_SECONDS:
            raise SignatureRefused(f"the stamp is {now.timestamp() - stamp:+.0f} s from now")
        signed = str(stamp).encode() + b"." + body
    else:
        candidates, signed = [given], body
    expected = [_digest(secret, signed).encode() for secret in secrets]
    if not among([sent(candidate) for candidate in candidates], expected):
        raise SignatureRefused("no live secret made this signature")


def sent(value: str) -> bytes:
    """The bytes of a header's value as they were sent: whoever serves HTTP hands them over read as Latin-1."""
    return value.encode("latin-1", "backslashreplace")


def among(given: Sequence[bytes], expected: Sequence[bytes]) -> bool:
    """Whether one of `given` is one of `expected`, in a time that does not tell which or how nearly.

    Bytes, not text: compare_digest raises on a text that is not ASCII. Every pair is compared whatever the outcome.
    """
    return any([hmac.compare_digest(one, other) for one in given for other in expected])  # noqa: C419  (no pair is left out)


def _digest(secret: str, signed: bytes) -> str:
    return hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()


def _parts(given: str) -> tuple[int, list[str]]:
    stamp: int | None = None
    candidates: list[str] = []
    for part in given.split(","):
        name, _, value = part.strip().partition("=")
        if name == "t" and value.isascii() and value.isdigit() and len(value) <= 12:  # noqa: PLR2004  (far beyond any real date)
            stamp = int(value)
        elif name == "v1":
            candidates.append(value)
    if stamp is None or not candidates:
        raise SignatureRefused("the signature header is not t=<seconds>,v1=<hex>")
    return stamp, candidates
