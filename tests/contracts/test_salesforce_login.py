"""Logging in to an org: what is sent, what the org's refusals mean, and where the token may go."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from joserfc import jwt
from joserfc.jwk import RSAKey

from sync.connections import ConfigError, Connection
from sync.errors import AuthError, QuotaError, SourceError, TransientError
from sync.ports import Page
from sync.systems.salesforce import make_source
from tests.contracts.suite_server import Asked, Reply, ScriptedServer, reply_json
from tests.contracts.test_salesforce import LANDSCAPE

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PEM = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
PUBLIC = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


class Org:
    """Answers the token call with `token`, everything else with an empty result to whoever brings the token."""

    def __init__(self) -> None:
        self.token: Reply | None = None
        self.instance: str | None = None
        self.refusing: list[Reply] = []
        self.server = ScriptedServer(self.answer)

    def answer(self, asked: Asked) -> Reply:
        """One answer."""
        if asked.path.endswith("/oauth2/token"):
            said = {"access_token": "T0KEN", "scope": "api", "instance_url": self.instance or self.server.url, "token_type": "Bearer",
                    "id": f"{self.server.url}/id/00D/005", "signature": "x", "issued_at": "1747742400000"}  # fmt: skip
            return self.token or reply_json(said)
        if self.refusing:
            return self.refusing.pop(0)
        if asked.path.endswith("/describe"):
            return reply_json({"fields": [{"name": name} for name in ("Id", "SystemModstamp", "IsDeleted", "Name")]})
        return reply_json({"totalSize": 0, "done": True, "records": []})

    def connection(self, *, secrets: dict[str, str] | None = None, **options: Any) -> Connection:
        """The org as a connection."""
        return Connection(
            name=f"org-{id(self)}", system="salesforce", region="EMEA", allow_private_addresses=True,
            options={"base_url": self.server.url, "currency": "EUR", **options},
            secrets=secrets or {"client_id": "env:SF_TEST_ID", "client_secret": "env:SF_TEST_SECRET"},
        )  # fmt: skip

    def logins(self) -> list[Asked]:
        """The token calls."""
        return [asked for asked in self.server.asked if asked.path.endswith("/oauth2/token")]


@pytest.fixture
def org(monkeypatch: pytest.MonkeyPatch) -> Iterator[Org]:
    for name, value in {"SF_TEST_ID": "consumer-key", "SF_TEST_SECRET": "s3cret&", "SF_TEST_KEY": PEM, "SF_TEST_PUBLIC": PUBLIC}.items():
        monkeypatch.setenv(name, value)
    made = Org()
    yield made
    made.server.close()


JWT = {"client_id": "env:SF_TEST_ID", "private_key": "env:SF_TEST_KEY"}


def pull(connection: Connection) -> None:
    """A pull of the accounts."""
    from tests.contracts.suite import NOW

    with closing(make_source(connection, LANDSCAPE)) as source:
        list(source.pull("accounts", None, now=NOW))


def test_a_jwt_says_who_for_whom_and_for_three_minutes(org: Org) -> None:
    """RS256 by the key, issuer, subject and audience, and no more than three minutes to live."""
    pull(org.connection(secrets=JWT, username="tidegate@example.com"))
    (login,) = org.logins()
    form = login.form()
    assert form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
    token = jwt.decode(form["assertion"], RSAKey.import_key(PUBLIC), algorithms=["RS256"])
    assert {name: token.claims[name] for name in ("iss", "sub", "aud")} == {
        "iss": "consumer-key",
        "sub": "tidegate@example.com",
        "aud": "https://login.salesforce.com",
    }
    assert 60 < token.claims["exp"] - time.time() <= 180


@pytest.mark.parametrize(
    ("options", "audience"),
    [
        ({"base_url": "https://acme.my.salesforce.com"}, "https://login.salesforce.com"),
        ({"base_url": "https://acme--full.sandbox.my.salesforce.com"}, "https://test.salesforce.com"),
        ({"base_url": "https://acme.my.salesforce.com", "login_url": "https://test.salesforce.com"}, "https://test.salesforce.com"),
        ({"audience": "https://acme.my.salesforce.com"}, "https://acme.my.salesforce.com"),
    ],
)
def test_the_audience_is_the_server_that_judges(org: Org, options: dict[str, str], audience: str) -> None:
    """Production, a sandbox, or what the connection says."""
    from sync.systems.salesforce.settings import settings_of

    assert settings_of(org.connection(secrets=JWT, **options), LANDSCAPE).token_audience == audience


@pytest.mark.parametrize(("how", "in_form"), [("body", True), ("basic", False)])
def test_client_credentials_go_where_the_connection_says(org: Org, how: str, in_form: bool) -> None:
    """In the form, or as HTTP Basic; never in the address."""
    pull(org.connection(client_auth=how))
    (login,) = org.logins()
    form = login.form()
    assert form["grant_type"] == "client_credentials"
    assert (form.get("client_secret") == "s3cret&") is in_form
    basic = base64.b64encode(b"consumer-key:s3cret&").decode()
    assert (login.headers.get("authorization") == f"Basic {basic}") is not in_form
    assert login.query == {}


@pytest.mark.parametrize(
    ("secrets", "options", "words"),
    [
        ({"client_id": "env:SF_TEST_ID", "private_key": "env:SF_TEST_PUBLIC"}, {"username": "u"}, "public key"),
        ({"client_id": "env:SF_TEST_ID", "private_key": "env:SF_TEST_SECRET"}, {"username": "u"}, "no RSA key"),
        (JWT, {}, "username"),
        (None, {"base_url": "https://login.salesforce.com"}, "My Domain"),
        (None, {"organization_id": "001000000000000"}, "organization_id"),
    ],
)
def test_what_can_not_work_is_said_before_anything_is_called(
    org: Org, secrets: dict[str, str] | None, options: dict[str, Any], words: str
) -> None:
    """A wrong key, no user, the wrong host: an error of the configuration, in words."""
    with pytest.raises(ConfigError, match=words) as wrong:
        make_source(org.connection(secrets=secrets, **options), LANDSCAPE)
    assert "s3cret" not in str(wrong.value)
    assert org.server.asked == []


@pytest.mark.parametrize(
    ("error", "description", "kind", "words"),
    [
        ("invalid_grant", "user hasn't approved this consumer", AuthError, "pre-authorized"),
        ("invalid_grant", "no client credentials user enabled", AuthError, "run-as user"),
        ("invalid_grant", "expired access/refresh token", AuthError, "approve the app"),
        ("invalid_client_id", "client identifier invalid", AuthError, "consumer key"),
        ("invalid_client", "invalid client credentials", AuthError, "consumer secret"),
        ("invalid_app_access", "user is not admin approved to access this app", AuthError, "permission set"),
        ("unsupported_grant_type", "grant type not supported", AuthError, "My Domain"),
        ("invalid_grant", "audience is invalid", AuthError, "audience"),
        ("invalid_grant", None, AuthError, "policies"),
        ("something_new", "who knows", AuthError, "administrator"),
        ("invalid_grant", "login rate exceeded", QuotaError, "rate exceeded"),
        ("unknown_error", "retry your request", TransientError, "retry your request"),
    ],
)
def test_a_refusal_says_what_to_do(org: Org, error: str, description: str | None, kind: type[SourceError], words: str) -> None:
    """The org's object of error and description, with what its administrator has to change."""
    org.token = reply_json({"error": error, **({"error_description": description} if description else {})}, 400)
    with pytest.raises(kind, match=words) as refused:
        pull(org.connection())
    assert error in refused.value.detail
    assert "s3cret" not in refused.value.detail
    assert len(org.logins()) == 1


@pytest.mark.parametrize(
    "token", [Reply(b"<html>", 200, "text/html"), reply_json([]), reply_json({"access_token": ""}), reply_json({}), Reply(b"", 503)]
)
def test_an_answer_without_a_token_is_an_outage(org: Org, token: Reply) -> None:
    """Login pages and empty answers are no credentials problem."""
    org.token = token
    with pytest.raises(TransientError):
        pull(org.connection())


def test_the_token_goes_to_no_instance_that_was_not_allowed(org: Org) -> None:
    """An instance named by the org is followed only if the connection allows it; else its own address is used."""
    with ScriptedServer(org.answer) as other:
        org.instance = other.url
        pull(org.connection())
        assert other.asked == []
        pull(org.connection(instance_urls=[other.url]))
        assert [asked.path for asked in other.asked] != []
    org.instance = "https://evil.example"
    pull(org.connection())


def test_a_next_page_elsewhere_is_refused(org: Org) -> None:
    """A next link to another host, or to our own login host, is called by nobody."""
    with ScriptedServer(org.answer) as other:
        page = {"totalSize": 9, "done": False, "nextRecordsUrl": f"{other.url}/services/data/v67.0/query/01g-2", "records": []}
        connection = org.connection(login_url=other.url)
        with closing(make_source(connection, LANDSCAPE)) as source:
            from tests.contracts.suite import NOW

            list(source.pull("accounts", None, now=NOW))
            before = len(other.asked)
            org.refusing = [reply_json(page)]
            with pytest.raises(SourceError, match="leads away"):
                list(source.pull("accounts", None, now=NOW))
        assert len(other.asked) == before


@pytest.mark.parametrize("words", ["This session is not valid for use with the REST API", "Connected app is not attached to Agent"])
def test_a_lasting_refusal_stops_at_once(org: Org, words: str) -> None:
    """A new token would be refused alike: none is fetched, and a person is told."""
    org.refusing = [reply_json([{"message": words, "errorCode": "INVALID_SESSION_ID"}], 401) for _ in range(9)]
    with pytest.raises(AuthError, match="new token would be refused"):
        pull(org.connection())
    assert len(org.logins()) == 1
    assert len(org.refusing) == 8


@pytest.mark.parametrize("body", [b"", b"<html/>", json.dumps([{"errorCode": "INVALID_AUTH_HEADER", "message": "x"}]).encode()])
def test_any_other_401_is_answered_by_one_new_token(org: Org, body: bytes) -> None:
    """Once renewed it goes on; refused again, it stops."""
    org.refusing = [Reply(body, 401)]
    pull(org.connection())
    assert len(org.logins()) == 2
    org.refusing = [Reply(body, 401) for _ in range(9)]
    with pytest.raises(AuthError, match="with a new token too"):
        pull(org.connection())


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply(b"", 406), TransientError), (reply_json([{"errorCode": "X", "message": "not acceptable"}], 406), TransientError),
        (Reply(b"", 420), QuotaError), (Reply(b"<html>slow</html>", 429, "text/html"), QuotaError), (Reply(b"<Errors/>", 503, "text/xml"), TransientError),
        (Reply(b"", 414), SourceError), (Reply(b"", 431), SourceError),
        (reply_json([{"errorCode": "REQUEST_LIMIT_EXCEEDED", "message": "TotalRequests Limit exceeded."}], 403), QuotaError),
        (reply_json(["odd"], 400), SourceError), (reply_json({"x": 1}, 500), TransientError),
    ],
)  # fmt: skip
def test_every_odd_answer_is_an_error_of_ours(org: Org, reply: Reply, kind: type[SourceError]) -> None:
    """Empty, HTML, XML or JSON of another shape: the status decides, and nothing foreign is raised."""
    org.refusing = [reply] * 3
    with pytest.raises(kind):
        pull(org.connection())


@pytest.mark.parametrize(
    ("said", "currency"),
    [
        (reply_json({"totalSize": 1, "done": True, "records": [{"DefaultCurrencyIsoCode": "CHF"}]}), "CHF"),
        (reply_json({"totalSize": 0, "done": True, "records": []}), None),
        (reply_json([{"errorCode": "INVALID_FIELD", "message": "No such column"}], 400), None),
        (reply_json({"totalSize": 1, "done": True, "records": [{"DefaultCurrencyIsoCode": "Swiss francs"}]}), None),
    ],
)
def test_an_org_of_one_currency_is_asked_which(org: Org, said: Reply, currency: str | None) -> None:
    """Without CurrencyIsoCode the organization's currency stands for it, where it says one; the connection's own word comes first."""
    from tests.contracts.suite import NOW

    def between(asked: Asked, answer: Any) -> Reply:
        if "FROM Organization" in asked.query.get("q", ""):
            return said
        if asked.path.endswith("/describe"):
            names = ("Id", "SystemModstamp", "IsDeleted", "AccountId", "StageName", "CloseDate", "Amount")
            return reply_json({"fields": [{"name": name} for name in names]})
        return answer()  # type: ignore[no-any-return]

    org.server.between = between
    for configured, expected in ((None, currency), ("JPY", "JPY")):
        connection = org.connection(currency=configured)
        with closing(make_source(connection, LANDSCAPE)) as source:
            (page,) = source.pull("opportunities", None, now=NOW)
            assert isinstance(page, Page)
            assert page.headers.get("x-tidegate-currency") == expected
