"""How an S/4HANA host lets us in, keeps its session, and says what it has: each against scripted servers over real sockets."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qsl

import pytest

from sync.connections import ConfigError
from sync.errors import AuthError, PermanentError, QuotaError
from sync.http_gate import _GATES
from sync.ports import Finding
from sync.systems.sap_s4 import make_source, reading
from tests.contracts.odata_server import BASIC, LANDSCAPE, ROOT, Host
from tests.contracts.suite import NOW
from tests.contracts.suite_server import Asked, Reply, ScriptedServer, reply_json
from tests.contracts.suite_store import Store, pages_of, pull
from tests.contracts.test_sap_s4 import Customers, Orders
from tests.contracts.test_sap_s4_more import DeliveriesOf


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"USER": "TIDEGATE", "PASSWORD": "s3cret", "ID": "sb-client", "SECRET": "oauth-s3cret", "KEY": "hub-k3y"}.items():
        monkeypatch.setenv(f"S4_TEST_{name}", value)
    _GATES.clear()
    reading._NO_BATCH.clear()


class Tokens:
    """A token server; `dead` tokens are refused by the host."""

    def __init__(self, **answer: Any) -> None:
        self.given = 0
        self.dead: set[str] = set()
        self.extra = answer
        self.server = ScriptedServer(self.answer)

    def answer(self, asked: Asked) -> Reply:
        if asked.form().get("grant_type") != "client_credentials" or "authorization" not in asked.headers:
            return reply_json({"error": "invalid_client", "error_description": "Bad credentials"}, 401)
        self.given += 1
        return reply_json({"access_token": f"t{self.given}", "token_type": "bearer", "expires_in": 3600, **self.extra})


def oauth(host: Host, tokens: Tokens) -> Any:
    """The host, let in by tokens only."""

    def hook(asked: Asked) -> Reply | None:
        given = asked.headers.get("authorization", "").removeprefix("Bearer ")
        if not given.startswith("t") or given in tokens.dead:
            return Reply(b"", 401, headers={"www-authenticate": "Bearer"})
        asked.headers["authorization"] = BASIC  # type: ignore[index]
        return None

    host.hook = hook
    connection = host.connection(token_url=f"{tokens.server.url}/oauth/token", scope="API")
    return connection.model_copy(update={"secrets": {"client_id": "env:S4_TEST_ID", "client_secret": "env:S4_TEST_SECRET"}})


def test_a_token_is_reused_and_renewed_once_when_it_is_refused() -> None:
    """One login for a whole pull; a 401 in its middle brings one more, and the same page again."""
    with Orders() as case:
        for number in range(7):
            case.put(f"k{number}", number, NOW - timedelta(hours=number))
        tokens = Tokens()
        source = make_source(oauth(case.host, tokens), LANDSCAPE)
        store = Store()
        for count, page in enumerate(pages_of(source, "sales_orders", None, now=NOW)):
            store.take(source.map("sales_orders", page))
            if count == 1:
                tokens.dead.add("t1")
        assert len(store.live("sales_order")) == 7
        assert tokens.given == 2
        assert tokens.server.asked[0].form() == {"grant_type": "client_credentials", "scope": "API"}


def test_a_host_that_refuses_every_token_is_an_auth_error() -> None:
    """A second refusal is told, without the token; a token server's own reason is told, too."""
    with Orders() as case:
        tokens = Tokens()
        connection = oauth(case.host, tokens)
        tokens.dead = {f"t{n}" for n in range(1, 9)}
        with pytest.raises(AuthError) as caught:
            list(pages_of(make_source(connection, LANDSCAPE), "sales_orders", None, now=NOW))
        assert tokens.given == 2
        assert "t2" not in str(caught.value)
        tokens.server.between = lambda _asked, _answer: reply_json({"error": "invalid_client", "error_description": "Bad one"}, 401)
        with pytest.raises(AuthError, match="invalid_client Bad one"):
            list(pages_of(make_source(connection, LANDSCAPE), "sales_orders", None, now=NOW))


def test_a_token_about_to_end_is_renewed_before() -> None:
    """A token of no lasting is fetched anew for the next source, and within its life only once."""
    with Orders() as case:
        tokens = Tokens(expires_in="1")
        source = make_source(oauth(case.host, tokens), LANDSCAPE)
        list(pages_of(source, "sales_orders", None, now=NOW))
        assert 1 <= tokens.given <= 3


def test_a_link_to_the_token_server_is_foreign() -> None:
    """The token server is a host of ours for tokens only: a listing never leads there."""
    with Orders() as case:
        tokens = Tokens()
        source = make_source(oauth(case.host, tokens), LANDSCAPE)
        let_in = case.host.hook
        page = {"d": {"results": [case.record("k1", 1, NOW), case.record("k2", 2, NOW)], "__next": f"{tokens.server.url}/steal"}}
        case.host.hook = lambda asked: let_in(asked) or (reply_json(page) if asked.path.endswith("A_SalesOrder") else None)
        with pytest.raises(PermanentError, match="refused a link"):
            list(pages_of(source, "sales_orders", None, now=NOW))
        assert all(asked.method == "POST" for asked in tokens.server.asked)


def test_an_api_key_alone_is_enough() -> None:
    """The Hub's sandbox takes an APIKey and no user."""
    with Orders() as case:
        case.put("k1", 1, NOW)
        case.host.hook = lambda asked: asked.headers.update(authorization=BASIC) if asked.headers.get("apikey") == "hub-k3y" else None  # type: ignore[attr-defined]
        connection = case.host.connection(sap_client="100").model_copy(update={"secrets": {"api_key": "env:S4_TEST_KEY"}})
        store = Store()
        pull(make_source(connection, LANDSCAPE), "sales_orders", None, store, now=NOW)
        assert store.live("sales_order").keys() == {"k1"}
        assert {asked.query.get("sap-client") for asked in case.host.server.asked} == {"100"}
        assert all("hub-k3y" not in asked.path for asked in case.host.server.asked)


def test_credentials_that_are_missing_are_named() -> None:
    """Neither user nor key nor token address: the error says what to add."""
    host = Host()
    with pytest.raises(ConfigError, match="'user'"):
        make_source(host.connection().model_copy(update={"secrets": {}}), LANDSCAPE)
    with pytest.raises(ConfigError, match="token_url"):
        make_source(host.connection().model_copy(update={"secrets": {"client_id": "env:S4_TEST_ID"}}), LANDSCAPE)
    with pytest.raises(ConfigError, match="client_cert"):
        make_source(host.connection(base_url="https://127.0.0.1:1", client_cert="/nowhere.pem"), LANDSCAPE)
    host.server.close()


def test_paths_of_services_are_configuration() -> None:
    """A version, a protocol, a path of its own, a prefix before all of them: each leads where it says."""
    host = Host()
    cases = [
        ({}, "API_SALES_ORDER_SRV", "/sap/opu/odata/sap/API_SALES_ORDER_SRV"),
        ({}, "API_OUTBOUND_DELIVERY_SRV", "/sap/opu/odata/sap/API_OUTBOUND_DELIVERY_SRV;v=0002"),
        ({"API_X": {"version": "0002"}}, "API_X", "/sap/opu/odata/sap/API_X;v=0002"),
        ({"API_X": {"protocol": "v4", "group": "api_x", "name": "x", "version": "0002"}}, "API_X",
         "/sap/opu/odata4/sap/api_x/srvd_a2x/sap/x/0002"),
        ({"API_SALES_ORDER_SRV": {"protocol": "v4"}}, "API_SALES_ORDER_SRV",
         "/sap/opu/odata4/sap/api_salesorder/srvd_a2x/sap/salesorder/0001"),
        ({"API_X": {"path": "/gateway/orders/"}}, "API_X", "/gateway/orders"),
    ]  # fmt: skip
    for services, name, path in cases:
        source = make_source(host.connection(services=services), LANDSCAPE)
        assert source._session.address.root(name) == path
    for base, prefix in (("", ""), ("/s4hanacloud", "/s4hanacloud"), ("/s4hanacloud" + ROOT + "/", "/s4hanacloud")):
        source = make_source(host.connection(base_url=host.server.url + base), LANDSCAPE)
        assert source._session.address.root("API_X") == f"{prefix}{ROOT}/API_X"
    with pytest.raises(ConfigError, match="services"):
        make_source(host.connection(services={"API_X": {"protocol": "v3"}}), LANDSCAPE)
    host.server.close()


def test_every_cookie_is_kept_whatever_its_name() -> None:
    """Cookies of any name, also such as are for https, come back with every later request; one that is taken back does not."""
    with Orders() as case:
        case.put("k1", 1, NOW)
        cookies = iter(["MYSAPSSO2=abc==; path=/; secure; HttpOnly", "sap-usercontext=sap-client=100; path=/", "MYSAPSSO2=; Max-Age=0"])

        def hook(asked: Asked) -> Reply | None:
            if asked.path.endswith("$metadata"):
                return Reply(case.host._metadata("API_SALES_ORDER_SRV"), 200, "application/xml", {"set-cookie": next(cookies)})
            return None

        case.host.hook = hook
        source = make_source(case.host.connection(), LANDSCAPE)
        session = source._session
        session.described("API_SALES_ORDER_SRV")
        session.described("API_BILLING_DOCUMENT_SRV")
        list(pages_of(source, "sales_orders", None, now=NOW))
        assert case.host.server.asked[-1].headers["cookie"] == "MYSAPSSO2=abc==; sap-usercontext=sap-client=100"
        session.described("API_BUSINESS_PARTNER")
        list(pages_of(source, "sales_orders", None, now=NOW))
        assert case.host.server.asked[-1].headers["cookie"] == "sap-usercontext=sap-client=100"


class Batches:
    """A host that takes $batch, or refuses it in its own way."""

    def __init__(self, host: Host, refusal: Reply | None = None) -> None:
        self.host, self.refusal, self.taken, self.tokens = host, refusal, 0, 0
        self.broken_part: Reply | None = None
        host.hook = self.answer

    def answer(self, asked: Asked) -> Reply | None:
        if asked.headers.get("x-csrf-token", "").lower() == "fetch":
            self.tokens += 1
            return reply_json({"d": {}}, 200, x_csrf_token="tok", set_cookie="s=1; path=/")
        if not asked.path.endswith("/$batch"):
            return None
        if self.refusal is not None:
            return self.refusal
        if asked.headers.get("x-csrf-token") != "tok" or "s=1" not in asked.headers.get("cookie", ""):
            return Reply(b"", 403, headers={"x-csrf-token": "Required"})
        self.taken += 1
        parts = []
        for place, target in enumerate(re.findall(rb"^GET (\S+) HTTP/1.1\r\n", asked.body, re.MULTILINE)):
            path, _, query = target.decode().partition("?")
            inner = self.host._list(Asked("GET", path, dict(parse_qsl(query)), {}, b""), path)
            if place == 1 and self.broken_part is not None:
                inner = self.broken_part
            head = f"HTTP/1.1 {inner.status} X\r\nContent-Type: {inner.content_type}\r\nContent-Length: {len(inner.body)}\r\n\r\n"
            parts.append(b"--B\r\nContent-Type: application/http\r\nContent-Length: 1\r\n\r\n" + head.encode() + inner.body + b"\r\n")
        return Reply(b"".join(parts) + b"--B--\r\n", 202, "multipart/mixed; boundary=B")


def customers(case: Customers, count: int = 5) -> Store:
    """All customers of a host, pulled."""
    for number in range(count):
        case.put(f"c{number}", 30 + number, NOW - timedelta(days=1))
    case.host.without.clear()
    store = Store()
    pull(make_source(case.host.connection(page_size=50), LANDSCAPE), "customers", None, store, now=NOW)
    assert {key: row["payment_terms_days"] for key, row in store.live("customer").items()} == {f"c{n}": 30 + n for n in range(count)}
    return store


def test_several_reads_go_as_one_batch() -> None:
    """Customer, company and address records of a page come in one request; parts that have more pages are read on."""
    with Customers() as case:
        batches = Batches(case.host)
        customers(case)
        assert batches.taken == 4  # five customers, two at a time, each page from the last one's last
        assert batches.tokens == 1
        alone = [asked.path for asked in case.host.server.asked if asked.path.endswith("A_CustomerCompany")]
        assert alone == []


def test_a_refused_part_is_asked_for_by_itself() -> None:
    """One part answered with an error costs one request more, and loses nothing."""
    with Customers() as case:
        batches = Batches(case.host)
        batches.broken_part = reply_json({"error": {"code": "X", "message": {"value": "busy"}}}, 503)
        customers(case)
        alone = [asked.path for asked in case.host.server.asked if asked.path.endswith("A_CustomerCompany")]
        assert len(alone) == 4


@pytest.mark.parametrize(
    "refusal",
    [
        Reply(b"", 501),
        Reply(b"<html>nothing here</html>", 404, "text/html"),
        Reply(b"no", 403, "text/plain"),
        reply_json({"error": {"code": "X", "message": "unsupported"}}, 400),
        Reply(b"<html>log in</html>", 200, "text/html"),
        Reply(b"--B\r\nContent-Type: application/http\r\n\r\nHTTP/1.1 200 OK\r\n", 202, "multipart/mixed; boundary=B"),
        Reply(b"\x00\xff garbage", 202, "multipart/mixed; boundary=B"),
    ],
)
def test_a_host_that_refuses_batches_is_asked_one_by_one(refusal: Reply) -> None:
    """However it refuses, everything is read; and it is not asked again."""
    with Customers() as case:
        Batches(case.host, refusal)
        customers(case)
        assert len([asked for asked in case.host.server.asked if asked.path.endswith("/$batch")]) == 1


def test_a_host_that_asks_us_to_wait_is_not_asked_one_by_one() -> None:
    """429 for a $batch is what it says: the pull ends, and waits."""
    with Customers() as case:
        Batches(case.host, Reply(b"", 429, headers={"retry-after": "60"}))
        with pytest.raises(QuotaError):
            customers(case)


def refuse(name: str, status: int, words: str) -> Any:
    """A host that refuses a property, in the words of one of its releases."""

    def hook(asked: Asked) -> Reply | None:
        if asked.path.endswith("$metadata"):
            return Reply(b"no authorization", 403, "text/plain")
        if re.search(rf"\b{name}\b", asked.query.get("$select", "")):
            return reply_json({"error": {"code": "005056A509B11EE1B9A8FEC11C21D78E", "message": {"lang": "en", "value": words}}}, status)
        return None

    return hook


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (400, "Property OverallTotalDeliveryStatus not found in type 'A_SalesOrderType'"),
        (404, "Resource not found for the segment 'OverallTotalDeliveryStatus'."),
        (400, "The property 'OverallTotalDeliveryStatus' is invalid in $select"),
    ],
)
def test_a_refused_property_is_asked_for_by_its_later_name(status: int, words: str) -> None:
    """Without $metadata a refusal says what this release has: the later name is asked for, and its value is read."""
    with Orders() as case:
        case.put("k1", 1, NOW)
        record = case.host.records["A_SalesOrder"][0]
        record["OverallDeliveryStatus"] = "C"
        del record["OverallTotalDeliveryStatus"]
        case.host.hook = refuse("OverallTotalDeliveryStatus", status, words)
        store = Store()
        pull(make_source(case.host.connection(), LANDSCAPE), "sales_orders", None, store, now=NOW)
        assert store.live("sales_order")["k1"]["delivery_status"] == "complete"
        asked = [one.query["$select"] for one in case.host.server.asked if "$select" in one.query]
        assert "OverallDeliveryStatus" not in asked[0]
        assert "OverallDeliveryStatus" in asked[-1]


def test_a_needed_property_that_is_refused_is_named() -> None:
    """Nothing can be made of orders without their value."""
    with Orders() as case:
        case.host.hook = refuse("TotalNetAmount", 400, "Property TotalNetAmount not found in type 'A_SalesOrderType'")
        with pytest.raises(PermanentError, match="has no property TotalNetAmount"):
            list(pages_of(make_source(case.host.connection(), LANDSCAPE), "sales_orders", None, now=NOW))


def test_a_host_that_refuses_to_count_is_read_without() -> None:
    """$inlinecount refused: it is left out from then on."""
    with Orders() as case:
        for number in range(5):
            case.put(f"k{number}", number, NOW - timedelta(hours=number))
        case.host.paging = "none"
        refusal = reply_json({"error": {"code": "X", "message": {"value": "Query option $inlinecount is not supported"}}}, 400)
        case.host.hook = lambda asked: refusal if "$inlinecount" in asked.query else None
        store = Store()
        pull(make_source(case.host.connection(), LANDSCAPE), "sales_orders", None, store, now=NOW)
        assert len(store.live("sales_order")) == 5


def probed(host: Host, **options: Any) -> dict[str, Finding]:
    """The findings of a host's test, by what they are about."""
    source = make_source(host.connection(**options), LANDSCAPE)
    return {one.what: one for one in source.probe(now=NOW)}


NO_SERVICE = {
    "error": {"code": "/IWFND/MED/170", "message": {"lang": "en", "value": "No service found for namespace '', name 'X', version '0001'"}}
}


def test_the_probe_tells_what_is_inactive_from_what_is_forbidden() -> None:
    """A service that is not active names the transaction; one that we may not read names the authorisation; an optional one is no fault."""
    host = Host()

    def hook(asked: Asked) -> Reply | None:
        if "API_BILLING_DOCUMENT_SRV" in asked.path:
            return reply_json(NO_SERVICE, 404)
        if "API_OPLACCTGDOCITEMCUBE_SRV" in asked.path:
            return reply_json({"error": {"code": "/IWFND/CM/1", "message": {"value": "No authorization"}}}, 403)
        if "API_OUTBOUND_DELIVERY_SRV" in asked.path:
            return reply_json(NO_SERVICE, 403)
        return None

    host.hook = hook
    found = probed(host)
    bills, cube = found["API_BILLING_DOCUMENT_SRV/A_BillingDocument"], found["API_OPLACCTGDOCITEMCUBE_SRV/A_OperationalAcctgDocItemCube"]
    assert not bills.ok
    assert "/IWFND/MAINT_SERVICE" in bills.words
    assert not cube.ok
    assert "S_SERVICE" in cube.words
    deliveries = found["API_OUTBOUND_DELIVERY_SRV/A_OutbDeliveryHeader"]
    assert deliveries.ok
    assert "is not active" in deliveries.words
    assert found["sign-in"].ok
    host.server.close()


def test_the_probe_compares_clocks_and_shows_no_secret() -> None:
    """A host that is ten minutes behind is told, with by how much."""
    host = Host()
    late = format_datetime(datetime.now(UTC) - timedelta(minutes=10), usegmt=True)

    def hook(asked: Asked) -> Reply | None:
        if asked.path.endswith("A_BusinessPartner"):
            body = json.dumps({"d": {"results": []}}).encode()
            raw = (
                f"HTTP/1.1 200 OK\r\nDate: {late}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
            )
            return Reply(raw=lambda write: write(raw))
        return None

    host.hook = hook
    found = probed(host)
    assert not found["clock"].ok
    assert re.search(r"(599|60\d) s behind ours", found["clock"].words)
    assert "shows no record" in found["API_BUSINESS_PARTNER/A_BusinessPartner"].words
    assert all("s3cret" not in one.words for one in found.values())
    host.server.close()


def test_the_probe_stops_where_we_are_not_let_in() -> None:
    """Refused credentials are said once."""
    host = Host()
    host.hook = lambda _: Reply(b"<html>Logon failed</html>", 401, "text/html")
    [only] = probed(host).values()
    assert not only.ok
    assert "check user and password" in only.words
    host.server.close()


def test_a_delivery_service_that_is_not_there_is_an_empty_stream() -> None:
    """A host without deliveries has a complete and empty stream; once it was read, its absence is an error."""
    with DeliveriesOf() as case:
        absent = reply_json(NO_SERVICE, 403)
        case.host.hook = lambda asked: absent if "API_OUTBOUND_DELIVERY_SRV" in asked.path else None
        store = Store()
        done = pull(make_source(case.host.connection(), LANDSCAPE), "deliveries", None, store, now=NOW)
        assert store.rows == {}
        assert done.pages[-1].complete_until == NOW
        case.host.hook = lambda _: None
        case.put("80000001", 5, NOW - timedelta(days=1))
        done = pull(make_source(case.host.connection(), LANDSCAPE), "deliveries", done.cursor, store, now=NOW)
        assert len(store.live("delivery")) == 1
        case.host.hook = lambda asked: absent if "API_OUTBOUND_DELIVERY_SRV" in asked.path else None
        with pytest.raises(PermanentError, match="MED/170"):
            list(pages_of(make_source(case.host.connection(), LANDSCAPE), "deliveries", done.cursor, now=NOW))
