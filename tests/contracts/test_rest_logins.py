"""Log-ins of declared applications against servers that check them: tokens of all kinds, refresh tokens that are good once, signatures."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest

from sync.connections import ConfigError
from sync.errors import AuthError, PermanentError
from sync.systems.rest.logins import Auth
from sync.systems.rest.signing import hmac_headers, oauth1_header
from tests.contracts.rest_vendors import INVOICE, SECRETS, vendor
from tests.contracts.suite_server import Asked, Reply, reply_json

RECORD = {
    "id": "i1", "number": "A-1", "customer": "c1", "issued": "2026-05-01", "total": 1, "currency": "USD", "status": "open",
    "updated": "2026-05-01T10:00:00Z",
}  # fmt: skip
STREAM = '\n[[streams]]\nstream = "invoices"\npath = "v1/invoices"\nparams = { b = "2 x", a = "1" }\n' + INVOICE
NOW = datetime(2026, 5, 20, 12, 0, 0, 250_000, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SECRETS:
        monkeypatch.setenv(f"VENDOR_{name.upper()}", f"its-{name}")


def _reads(options: str, answer: Any, secrets: Mapping[str, str] | None = None) -> list[Asked]:
    """Every request of a pull that brings the one record."""
    with vendor(options + STREAM, answer, secrets=secrets) as app:
        app.pull()
        assert list(app.live("invoice", "gross")) == ["i1"]
        return app.server.asked


def test_a_refresh_token_and_a_word_of_its_own() -> None:
    """Zoho's form: the grant refresh_token, the client in the body, and another word than Bearer."""

    def answer(asked: Asked) -> Reply:
        if asked.path == "/oauth/v2/token":
            assert asked.form() == {
                "grant_type": "refresh_token", "refresh_token": "its-refresh_token", "client_id": "its-client_id",
                "client_secret": "its-client_secret",
            }  # fmt: skip
            return reply_json({"access_token": "t1", "expires_in": 3600, "api_domain": "x"})
        return reply_json([RECORD]) if asked.headers["authorization"] == "Zoho-oauthtoken t1" else reply_json({"message": "no"}, 401)

    _reads(
        'auth = { kind = "oauth2", token_url = "{url}/oauth/v2/token", grant = "refresh_token", client_in = "body", prefix = "Zoho-oauthtoken " }',
        answer,
    )


def test_a_refresh_token_that_is_good_once_is_kept_in_its_file(tmp_path: Path) -> None:
    """Each answer brings the next one: another process finds it where the first one lay. What can't be kept is said, with what to do."""
    file = tmp_path / "refresh"
    file.write_text("r0\n")
    good = ["r0"]

    def answer(asked: Asked) -> Reply:
        if asked.path != "/token":
            return reply_json([RECORD])
        if asked.form()["refresh_token"] != good[-1]:
            return reply_json({"error": "invalid_grant", "error_description": "unknown, invalid, or expired refresh token"}, 400)
        good.append(f"r{len(good)}")
        return reply_json({"access_token": f"t{len(good)}", "refresh_token": good[-1], "expires_in": 1800})

    options = 'auth = { kind = "oauth2", token_url = "{url}/token", grant = "refresh_token" }'
    secrets = {"client_id": "env:VENDOR_KEY", "client_secret": "env:VENDOR_KEY", "refresh_token": f"file:{file}"}
    for _ in range(3):
        _reads(options, answer, secrets)
    assert file.read_text() == good[-1] == "r3"
    good.append("someone-else-used-it")
    with pytest.raises(AuthError, match="expired refresh token"):
        _reads(options, answer, secrets)


def test_a_token_of_an_applications_own_making() -> None:
    """No grant, two headers with our secrets, JSON, the token and its end under other names; in a header of its own."""

    def answer(asked: Asked) -> Reply:
        if asked.path == "/api/v1/authentication/login":
            assert (asked.headers["x-client-id"], asked.headers["x-api-key"]) == ("its-client_id", "its-key")
            assert asked.json() == {"scope": "read"}
            return reply_json({"data": {"token": "t1", "expires_at": "2026-05-20T12:30:00+0000"}}, 201)
        return reply_json([RECORD]) if asked.headers["x-auth-token"] == "t1" else reply_json({"message": "no"}, 401)

    _reads(
        """
        [auth]
        kind = "oauth2"
        token_url = "{url}/api/v1/authentication/login"
        grant = "none"
        client_in = "none"
        send = "json"
        scope = "read"
        headers = { x-client-id = "{secret:client_id}", x-api-key = "{secret:key}" }
        token = "data.token"
        name = "X-Auth-Token"
        prefix = ""
        """,
        answer,
    )


def test_a_user_and_a_password_buy_a_token() -> None:
    """The grant password, the client as basic authorisation."""

    def answer(asked: Asked) -> Reply:
        if asked.path == "/token":
            assert asked.form() == {"grant_type": "password", "username": "its-user", "password": "its-password"}
            assert base64.b64decode(asked.headers["authorization"].removeprefix("Basic ")) == b"its-client_id:its-client_secret"
            return reply_json({"access_token": "t1"})
        return reply_json([RECORD])

    _reads('auth = { kind = "oauth2", token_url = "{url}/token", grant = "password" }', answer)


def test_a_token_that_runs_out_is_renewed_before_it_does() -> None:
    """Its life is believed: no request is wasted on one that is over."""
    tokens: list[str] = []

    def answer(asked: Asked) -> Reply:
        if asked.path == "/token":
            tokens.append(f"t{len(tokens)}")
            return reply_json({"access_token": tokens[-1], "expires_in": "0"})
        return reply_json([RECORD]) if asked.headers["authorization"] == f"Bearer {tokens[-1]}" else reply_json({}, 401)

    options = 'auth = { kind = "oauth2", token_url = "{url}/token" }'
    with vendor(options + STREAM, answer) as app:
        app.pull()
        app.pull()
        assert [asked.path for asked in app.server.asked] == ["/token", "/v1/invoices"] * 2


def test_secrets_stand_where_they_are_named() -> None:
    """Two keys in two headers, one in the body of a search; none in words; one that is not there is said at once."""
    options = 'headers = { X-AppSecretToken = "{secret:key}", X-AgreementGrantToken = "{secret:grant_token}" }'
    [asked] = _reads(options, lambda _: reply_json([RECORD]))
    assert (asked.headers["x-appsecrettoken"], asked.headers["x-agreementgranttoken"]) == ("its-key", "its-grant_token")
    with pytest.raises(PermanentError) as caught:
        _reads(options, lambda _: reply_json({"message": "its-grant_token has no right"}, 403))
    assert "*** has no right" in caught.value.detail
    with pytest.raises(ConfigError, match=r"\{secret:nowhere\} is named among the options, but not under \[connection.secrets\]"):
        _reads('headers = { X = "{secret:nowhere}" }', lambda _: reply_json([RECORD]))


def test_odoo_by_json_rpc() -> None:
    """The password and the moment deep in a list of the body, false for nothing, pairs of id and name, an error in an answer of 200."""
    options = """
    [[streams]]
    stream = "invoices"
    path = "jsonrpc"
    method = "POST"
    records = "result"
    null_values = ["false"]
    paging = { style = "offset", size = 1, short_ends = true }
    incremental = { column = "write_date", format = "%Y-%m-%d %H:%M:%S", initial = "2000-01-01 00:00:00" }
    [streams.body]
    jsonrpc = "2.0"
    method = "call"
    [streams.body.params]
    service = "object"
    method = "execute_kw"
    args = ["db", 2, "{secret:password}", "account.move", "search_read", [[["write_date", ">=", "{since}"]]], { limit = "{size}", offset = "{offset}" }]
    [streams.columns]
    id = { required = true }
    name = {}
    partner = "partner_id[0]"
    invoice_date = { type = "date" }
    invoice_date_due = { type = "date" }
    amount_total = { type = "amount" }
    currency = "currency_id[1]"
    payment_state = {}
    write_date = { type = "time", zone = "UTC" }
    [[streams.entities]]
    entity = "invoice"
    key = "id"
    [streams.entities.fields]
    number = "name"
    customer_key = "partner"
    issue_date = "invoice_date"
    due_date = "invoice_date_due"
    gross = "amount_total"
    currency = "currency"
    status = { column = "payment_state", values = { paid = "cleared", not_paid = "posted" }, default = "posted" }
    """
    move = {
        "id": 7, "name": "INV/2026/0007", "partner_id": [14, "Azure Interior"], "invoice_date": "2026-05-01", "invoice_date_due": False,
        "amount_total": 1150.0, "currency_id": [2, "USD"], "payment_state": False, "write_date": "2026-05-01 09:30:00",
    }  # fmt: skip

    def answer(asked: Asked) -> Reply:
        args = asked.json()["params"]["args"]
        assert args[:3] == ["db", 2, "its-password"]
        assert isinstance(args[6]["offset"], int)
        return reply_json({"jsonrpc": "2.0", "id": None, "result": [move] if args[6]["offset"] == 0 else []})

    with vendor(options, answer) as odoo:
        odoo.pull()
        assert odoo.live("invoice", "customer_key", "due_date", "status") == {"7": ("14", None, "posted")}
        odoo.pull()
        assert odoo.server.asked[-1].json()["params"]["args"][5] == [[["write_date", ">=", "2026-05-01 09:20:00"]]]
        odoo.server.between = lambda _a, _b: reply_json(
            {"jsonrpc": "2.0", "error": {"code": 200, "data": {"message": "Access Denied"}, "message": "Odoo Server Error"}}
        )
        with pytest.raises(Exception, match="Odoo Server Error"):
            odoo.pull()


# --- signatures ----------------------------------------------------------------------------------------------------------------------


def test_a_signature_over_what_is_declared() -> None:
    """Two known forms: the query alone in base64 (Unleashed), and moment, method, target and body with a key in base64."""

    def unleashed(asked: Asked) -> Reply:
        query = "b=2%20x&a=1"
        right = base64.b64encode(hmac.new(b"its-secret", query.encode(), hashlib.sha256).digest()).decode()
        well = (asked.headers["api-auth-id"], asked.headers["api-auth-signature"]) == ("its-key", right)
        return reply_json([RECORD]) if well else reply_json({"message": "bad signature"}, 403)

    _reads(
        """
        [auth]
        kind = "hmac"
        sign = "{query}"
        encoding = "base64"
        headers = { api-auth-id = "{secret:key}", api-auth-signature = "{signature}" }
        """,
        unleashed,
    )
    auth = Auth.model_validate(
        {"kind": "hmac", "sign": "{timestamp}{method}{target}{body}", "key_encoding": "base64", "digest": "sha512", "timestamp": "milliseconds",
         "headers": {"CB-SIGN": "{signature}", "CB-TIMESTAMP": "{timestamp}"}}
    )  # fmt: skip
    key = base64.b64encode(b"\x00\x01").decode()
    made = hmac_headers(auth, lambda _: key, "POST", "https://x.example/a/b?c=%20", b'{"d":1}', now=NOW, nonce="n")
    stamp = f"{int(NOW.timestamp())}250"
    signed = hmac.new(b"\x00\x01", f'{stamp}POST/a/b?c=%20{{"d":1}}'.encode(), "sha512").hexdigest()
    assert made == {"CB-SIGN": signed, "CB-TIMESTAMP": stamp}


@pytest.mark.parametrize(
    ("auth", "words"),
    [
        ('{ kind = "hmac", sign = "{query}" }', "headers, one with {signature}"),
        ('{ kind = "hmac", sign = "{quary}", headers = { X = "{signature}" } }', "sign names {quary}, which is not known"),
        ('{ kind = "oauth2" }', "needs token_url"),
        ('{ kind = "header" }', "needs the name of its header"),
        ('{ kind = "oauth3" }', "options.auth.kind: should be 'none'"),
    ],
)
def test_a_login_that_can_not_be_is_said_at_once(auth: str, words: str) -> None:
    """With what to write."""
    with pytest.raises(ConfigError) as caught:
        _reads(f"auth = {auth}", lambda _: reply_json([RECORD]))
    assert words in str(caught.value)


def test_oauth1_signs_as_the_known_example_does() -> None:
    """The example of a public documentation with its result, and over a socket a server that computes it by itself."""
    known = {
        "consumer_key": "xvz1evFS4wEEPTGEFPHBog", "consumer_secret": "kAcSOqF21Fu85e7zjz7ZN2U4ZRhfV3WpwPAoE3Z7kBw",
        "token": "370773112-GmHxMAgYyLbNEtIKZeRNFsMKPR9EyMZeS9weJAEb", "token_secret": "LswwdoUaIvS8ltyTt5jkRh4J50vUPVVHtR2YPi5kE",
    }  # fmt: skip
    url = "https://api.twitter.com/1.1/statuses/update.json?include_entities=true&status=Hello%20Ladies%20%2B%20Gentlemen%2C%20a%20signed%20OAuth%20request%21"
    auth = Auth(kind="oauth1", digest="sha1")
    made = oauth1_header(
        auth,
        known.__getitem__,
        "POST",
        url,
        now=datetime.fromtimestamp(1318622958, UTC),
        nonce="kYjzVBB8Y0ZFabxSWbWovY3uYSQ2pTgmZeNu2VS4cg",
    )
    assert 'oauth_signature="hCtSmYh%2BiHYCEqBWrE7C7hYmtUk%3D"' in made
    given = dict(parse_qsl(made.removeprefix("OAuth ").replace('"', "").replace(", ", "&")))
    assert given["oauth_signature_method"] == "HMAC-SHA1"
