"""Webhook signatures: who is believed, and who is not."""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime, timedelta

import pytest

from sync.signatures import Scheme, SignatureRefused, check, sign

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
BODY = b'{"id":"1"}'
SCHEME = Scheme()


def headers(value: str) -> dict[str, str]:
    return {"x-tidegate-signature": value}


def test_a_right_signature_passes() -> None:
    """What the sender signed with a live secret is believed."""
    check(SCHEME, headers(sign(BODY, "s3cret", at=NOW)), BODY, ["s3cret"], now=NOW)


def test_the_second_live_secret_passes_while_one_is_rotated() -> None:
    """During a rotation both secrets sign."""
    check(SCHEME, headers(sign(BODY, "old", at=NOW)), BODY, ["new", "old"], now=NOW)


@pytest.mark.parametrize("skew", [-301, 301, -86400, 86400])
def test_old_and_future_stamps_are_refused_alike(skew: int) -> None:
    """A stamp more than five minutes away, either way, is refused."""
    with pytest.raises(SignatureRefused, match="stamp"):
        check(SCHEME, headers(sign(BODY, "s", at=NOW + timedelta(seconds=skew))), BODY, ["s"], now=NOW)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "t=,v1=",
        "v1=abc",
        "t=abc,v1=00",
        f"t={int(NOW.timestamp())}",
        f"t={int(NOW.timestamp())},v1=",
        f"t={int(NOW.timestamp())},v1=ünïcode",
        f"t={int(NOW.timestamp())},v1=" + "0" * 64,
        "t=99999999999999999999999999,v1=00",
    ],
)
def test_every_odd_header_is_refused_and_none_crashes(value: str) -> None:
    """Empty, partial, non-ASCII and overlong headers are refused like a wrong signature."""
    with pytest.raises(SignatureRefused):
        check(SCHEME, headers(value), BODY, ["s"], now=NOW)


def test_a_changed_body_is_refused() -> None:
    """The signature covers the raw bytes: one more space breaks it."""
    with pytest.raises(SignatureRefused):
        check(SCHEME, headers(sign(BODY, "s", at=NOW)), BODY + b" ", ["s"], now=NOW)


def test_without_a_secret_it_fails_closed() -> None:
    """A connection without a configured secret believes nobody."""
    with pytest.raises(SignatureRefused, match="no webhook secret"):
        check(SCHEME, headers(sign(BODY, "", at=NOW)), BODY, [], now=NOW)


def test_the_bare_digest_scheme_is_that_of_modern_treasury() -> None:
    """Hex HMAC-SHA256 of the raw body in a header of the sender's name."""
    scheme = Scheme(header="X-Signature", timestamped=False)
    digest = hmac.new(b"s", BODY, hashlib.sha256).hexdigest()
    check(scheme, {"x-signature": digest}, BODY, ["s"], now=NOW)
    with pytest.raises(SignatureRefused):
        check(scheme, {"x-signature": digest}, BODY, ["other"], now=NOW)
