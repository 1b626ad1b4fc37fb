"""A declared application over real sockets: every paging style in the contract suite, every login, JSON's own troubles, what is gone."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from sync.canonical.causes import CAUSES
from sync.connections import ConfigError, Connection
from sync.errors import AuthError, DataError, PermanentError, SourceError, TransientError
from sync.ports import Cursor, Page, Source
from sync.systems.rest import make_source
from sync.systems.rest.paths import at, steps
from tests.contracts.rest_server import AUTHS, COLUMNS, INVOICE, LANDSCAPE, PAGINGS, App, epoch, record
from tests.contracts.suite import NOW, AdapterCase, AdapterSuite
from tests.contracts.suite_server import Reply, ScriptedServer
from tests.contracts.suite_store import Store, pull
from tests.contracts.test_garbage_pages import GARBAGE

HOUR = timedelta(hours=1)
SECRETS = {"USER": "tidegate", "PASSWORD": "s3cret", "TOKEN": "s3cret", "KEY": "s3cret", "CLIENT_ID": "id", "CLIENT_SECRET": "s3cret"}


class Invoices(AdapterCase):
    system = "rest"
    stream, entity, value_column = "invoices", "invoice", "gross"

    def __init__(self, paging: str = "cursor", auth: str = "oauth2") -> None:
        self.app = App(paging, auth)

    def source(self) -> Source:
        return make_source(self.app.connection(), LANDSCAPE)

    def put(self, key: str, worth: int, at: datetime) -> None:
        self.app.records[key] = record(key, float(worth), at)

    def put_twice(self, key: str, worth: int, at: datetime) -> None:
        self.put(key, worth, at)
        self.app.twice.add(key)

    def put_malformed(self, key: str, at: datetime) -> None:
        self.app.records[key] = record(key, "n/a", at)

    def repeat_page(self) -> None:
        self.app.repeating = self.app.paging != "none"

    def heal(self) -> None:
        self.app.repeating = False

    def future_cursor(self, cursor: Cursor | None) -> Cursor:
        return {"since": (self.now + timedelta(days=365)).isoformat()}

    def close(self) -> None:
        self.app.server.close()


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(f"REST_TEST_{name}", value)


@pytest.fixture(params=sorted(PAGINGS))
def paging(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class TestInvoices(AdapterSuite):
    """The styles that differ in how they go wrong; what each of the others has to do is below."""

    @pytest.fixture(params=["page", "offset with a total", "cursor", "next url"])
    def case(self, request: pytest.FixtureRequest) -> Iterator[AdapterCase]:
        with Invoices(str(request.param)) as case:
            yield case


@pytest.fixture
def app() -> Iterator[App]:
    made = App()
    yield made
    made.server.close()


def _read(
    app: App, store: Store, cursor: Cursor | None = None, *, now: datetime = NOW, zone: str | None = None, **stream: Any
) -> Cursor | None:
    with closing(make_source(app.connection(zone=zone, **stream), LANDSCAPE)) as source:
        return pull(source, "invoices", cursor, store, now=now).cursor


def _mapped(app: App, *records: dict[str, Any], **stream: Any) -> Store:
    app.records = {str(each.get("id", place)): each for place, each in enumerate(records)}
    store = Store()
    _read(app, store, **stream)
    return store


def _columns(**changed: Any) -> dict[str, Any]:
    return {**COLUMNS, **changed}


def test_every_style_reads_everything_once_and_ends(app: App, paging: str) -> None:
    """Full pages, a last one that is full, and one that comes again and again: all is read, nothing twice, nothing without end."""
    app.paging = paging
    for records in (7, 6, 1):
        app.records = {f"k{n}": record(f"k{n}", n, NOW - HOUR) for n in range(1, records + 1)}
        store = Store()
        _read(app, store)
        assert (len(store.live("invoice")), store.changes) == (records, records)
    if paging != "none":
        app.records = {f"k{n}": record(f"k{n}", n, NOW - HOUR) for n in range(1, 8)}
        app.repeating = True
        app.repeated = None
        calls = len(app.server.asked)
        with pytest.raises(TransientError, match="round in circles"):
            _read(app, Store())
        assert len(app.server.asked) - calls <= 3


# --- logging in ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("auth", sorted(AUTHS))
def test_every_login_is_carried_to_every_page(auth: str) -> None:
    """Each way of logging in reads all pages, also where the next page is an address of the application's own making."""
    for style in ("next url", "cursor"):
        made = App(style, auth)
        made.records = {f"k{n}": record(f"k{n}", n, NOW - HOUR) for n in range(1, 8)}
        store = Store()
        _read(made, store)
        made.server.close()
        assert len(store.live("invoice")) == 7


@pytest.mark.parametrize("auth", sorted(set(AUTHS) - {"none"}))
def test_a_wrong_secret_is_said_in_the_applications_words(auth: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """AuthError with what the application says, and none of what we sent."""
    for name in ("PASSWORD", "TOKEN", "KEY", "CLIENT_SECRET"):
        monkeypatch.setenv(f"REST_TEST_{name}", "wrong-secret")
    made = App(auth=auth)
    with pytest.raises(AuthError) as caught:
        _read(made, Store())
    made.server.close()
    assert "who are you" in caught.value.detail or "unknown client" in caught.value.detail
    assert "wrong-secret" not in caught.value.detail


def test_a_key_may_stand_in_for_the_user_and_json_under_another_name(app: App) -> None:
    """Basic authorisation without a password, and JSON that calls itself text: both are common."""
    app.records = {"k1": record("k1", 1, NOW)}
    given = app.connection().model_dump() | {"secrets": {"user": "env:REST_TEST_KEY"}}
    given["options"] = app.options() | {"auth": {"kind": "basic"}}
    app.server.between = lambda _asked, answer: Reply(answer().body, content_type="text/plain")
    with closing(make_source(Connection.model_validate(given), LANDSCAPE)) as source:
        assert len(list(source.pull("invoices", None, now=NOW))) == 1
    said = app.server.asked[-1].headers["authorization"].removeprefix("Basic ")
    assert base64.b64decode(said) == b"s3cret:"


def test_a_secret_that_the_application_repeats_is_blotted_out(app: App) -> None:
    """Some applications quote the key in the error."""
    app.auth = "query"
    app.server.between = lambda _asked, _answer: Reply(b'{"message":"the key s3cret has no right to invoices"}', 400)
    with pytest.raises(PermanentError) as caught:
        _read(app, Store())
    assert "the key *** has no right" in caught.value.detail


def test_a_next_address_on_another_host_is_refused(app: App) -> None:
    """An answer may not lead us, and our credentials, elsewhere."""
    app.paging = "next url"
    with ScriptedServer(lambda _asked: Reply(b"{}")) as elsewhere:
        body = {"data": [record("k1", 1, NOW)], "meta": {"next_url": f"{elsewhere.url}/v1/invoices"}}
        app.server.between = lambda _asked, _answer: Reply(json.dumps(body).encode())
        with pytest.raises(PermanentError, match="not an address of this connection"):
            _read(app, Store())
        assert elsewhere.asked == []


# --- values --------------------------------------------------------------------------------------------------------------------


def test_money_is_its_own_digits(app: App) -> None:
    """A JSON number is never a binary fraction, whatever its size; text is read as declared."""
    digits = ["0.1", "1234567890123.45", "1e3", "2.50"]
    body = ",".join(json.dumps(record(f"k{n}", "@", NOW)).replace('"@"', text) for n, text in enumerate(digits))
    app.server.between = lambda _asked, _answer: Reply(f'{{"data":[{body}]}}'.encode())
    store = Store()
    _read(app, store, paging=None)
    assert [row["gross"] for _, row in sorted(store.live("invoice").items())] == [
        Decimal("0.1"),
        Decimal("1234567890123.45"),
        1000,
        Decimal("2.5"),
    ]


def test_minor_units_follow_the_currency(app: App) -> None:
    """Cents of the euro, whole yen, thousandths of the dinar; a fraction of a cent and an unknown currency are refused."""
    told = [("EUR", 12345), ("JPY", 12345), ("BHD", 12345), ("EUR", 0.5), ("XXY", 1)]
    records = [record(f"k{n}", 0, NOW) | {"amount": {"value": value, "currency": code}} for n, (code, value) in enumerate(told)]
    store = _mapped(app, *records, columns=_columns(total={"path": "amount.value", "type": "amount", "minor_units": "currency"}))
    assert {key: row["gross"] for key, row in store.live("invoice").items()} == {
        "k0": Decimal("123.45"),
        "k1": 12345,
        "k2": Decimal("12.345"),
    }
    assert {reject["cause"] for reject in store.rejects} == {"bad_amount"}


def test_moments_come_in_three_forms(app: App) -> None:
    """ISO 8601 with an offset, an epoch, and a local time with the connection's zone; a local time without a zone is refused."""
    forms: dict[str, tuple[Any, dict[str, Any], str | None]] = {
        "iso": ("2026-05-01T11:30:00.250+02:00", {"type": "time", "required": True}, None),
        "epoch": (epoch(datetime(2026, 5, 1, 9, 30, tzinfo=UTC)) + 0.25, {"type": "time", "epoch": "seconds", "required": True}, None),
        "millis": (
            epoch(datetime(2026, 5, 1, 9, 30, tzinfo=UTC)) * 1000 + 250,
            {"type": "time", "epoch": "milliseconds", "required": True},
            None,
        ),
        "local": ("2026-05-01T11:30:00.250", {"type": "time", "required": True}, "Europe/Berlin"),
    }
    for name, (value, column, zone) in forms.items():
        store = _mapped(app, record("k1", 1, NOW) | {"updated": value}, columns=_columns(updated=column), incremental=None, zone=zone,
                        entities=[{**INVOICE, "changed_at": "updated", "version": "updated"}])  # fmt: skip
        assert store.live("invoice")["k1"]["changed_at"] == datetime(2026, 5, 1, 9, 30, 0, 250_000, tzinfo=UTC), name
    store = _mapped(app, record("k1", 1, NOW) | {"updated": "2026-05-01T11:30:00"})
    assert [reject["cause"] for reject in store.rejects] == ["bad_time"]


def test_paths_lead_anywhere() -> None:
    """Names, places in lists from either end, names with odd signs, and the object of a list that has a value."""
    value = {"a": {"b": [{"c": 1}, {"c": 2}]}, "odd.name": 3, "fields": [{"name": "region", "value": "NA"}, "x"]}
    for path, found in {
        "a.b[0].c": 1, "a.b[-1].c": 2, '["odd.name"]': 3, "fields[name=region].value": "NA", "a.b[9].c": None, "a.z.c": None, "": value,
    }.items():  # fmt: skip
        assert at(value, path) == found, path
    for wrong in ("a..b", "a[", "a.[0]", ".a", "a b.c[x]", "a[0"):
        with pytest.raises(ValueError, match="can't be read from"):
            steps(wrong) if wrong != "a b.c[x]" else steps("a b.c[x]")


def test_a_poison_record_costs_only_itself(app: App) -> None:
    """NaN, a twin key, a NUL and a bare number among good records: the good ones land, also where the next page stands beside them."""
    good = [json.dumps(record(f"k{n}", n, NOW)) for n in (1, 2)]
    poison = ['{"id":"x1","amount":{"value":NaN}}', '{"id":"x2","id":"x3"}', '{"id":"x\\u0000"}', "7"]
    body = f'{{"data":[{good[0]},{",".join(poison)},{good[1]}],"meta":{{"next":null}}}}'
    app.server.between = lambda _asked, _answer: Reply(body.encode())
    store = Store()
    _read(app, store)
    assert sorted(store.live("invoice")) == ["k1", "k2"]
    assert [reject["cause"] for reject in store.rejects] == ["malformed_record"] * 4


def test_a_value_that_became_an_object_is_drift(app: App) -> None:
    """A retyped field is schema drift of its record; a new one is noted with its kind."""
    store = _mapped(app, record("k1", {"major": 1}, NOW), record("k2", 2, NOW, brand_new=[1]))
    assert [(reject["cause"], reject["field"], reject["source_key"]) for reject in store.rejects] == [("schema_drift", "total", "k1")]
    with closing(make_source(app.connection(), LANDSCAPE)) as source:
        [page] = list(source.pull("invoices", None, now=NOW))
        assert isinstance(page, Page)
        seen = source.map("invoices", page).fields_seen
    assert (seen["brand_new"], seen["issued"], seen["customer"]) == ("list", "text", "object")


@pytest.mark.parametrize("body", [b"[]", b"{}", b'{"data":{}}', b'{"data":null}', b"nonsense", b"", b'{"data":[]'])
def test_an_answer_without_records_is_an_outage_that_says_where_it_looked(app: App, body: bytes) -> None:
    """Nothing is believed to be empty that does not say so, and the words name the path."""
    app.server.between = lambda _asked, _answer: Reply(body)
    with pytest.raises(TransientError) as caught:
        _read(app, Store())
    assert "data" in caught.value.detail or "empty" in caught.value.detail or "cut" in caught.value.detail


def test_the_body_may_be_the_list_and_204_is_nothing(app: App) -> None:
    """A bare array is read with records left empty; no content is no records."""
    app.bare, app.paging = True, "link"
    store = _mapped(app, *(record(f"k{n}", n, NOW) for n in range(1, 5)))
    assert len(store.live("invoice")) == 4
    app.server.between = lambda _asked, _answer: Reply(b"", 204)
    _read(app, store, paging=None)
    assert len(store.live("invoice")) == 4


# --- what changed, what is gone --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("incremental", "said"),
    [
        ({}, "2026-05-20T10:50:00Z"),
        ({"format": "date"}, "2026-05-20"),
        ({"format": "epoch"}, str(epoch(datetime(2026, 5, 20, 10, 50, tzinfo=UTC)))),
        ({"format": "%d/%m/%Y %H:%M", "template": "updated>={value}"}, "updated>=20/05/2026 10:50"),
        ({"look_back_minutes": 0}, "2026-05-20T11:00:00Z"),
    ],
)
def test_the_moment_is_asked_in_the_applications_form(app: App, incremental: dict[str, Any], said: str) -> None:
    """First everything, then from the newest stamp less the look-back, in the form and the words that the application wants."""
    app.records = {"k1": record("k1", 1, NOW - HOUR)}
    given = {"param": "since", "column": "updated", **incremental}
    cursor = _read(app, Store(), incremental=given)
    _read(app, Store(), cursor, incremental=given)
    assert app.asked("since") == [None, said]


def test_a_record_may_say_itself_that_it_is_gone(app: App) -> None:
    """A deleted record needs no more than its key; what is held keeps its last amounts."""
    store = _mapped(app, record("k1", 10, NOW - HOUR), record("k2", 20, NOW - HOUR))
    app.records["k1"] = {"id": "k1", "state": "void", "updated": record("k1", 1, NOW)["updated"]}
    _read(app, store, deleted={"column": "state", "is": "equals", "value": "void"})
    assert list(store.live("invoice")) == ["k2"]
    assert store.rows["invoice", "k1"]["gross"] == 10
    assert store.rejects == []


def test_what_left_the_list_is_found_by_reading_it_whole(app: App, paging: str) -> None:
    """With a sweep the whole list is read from time to time, over all its pages; a record that hides its key proves nothing."""
    app.paging = paging
    app.records = {f"k{n}": record(f"k{n}", n, NOW - HOUR) for n in range(1, 8)}
    store = Store()
    cursor = _read(app, store, sweep_hours=24)
    del app.records["k2"]
    cursor = _read(app, store, cursor, now=NOW + HOUR, sweep_hours=24)
    assert len(store.live("invoice")) == 7
    held = cursor
    if paging != "cursor of the last record":
        app.records["k9"] = record("", 9, NOW - HOUR)
        held = _read(app, store, cursor, now=NOW + 25 * HOUR, sweep_hours=24)
        assert len(store.live("invoice")) == 7, "a list with a record that hides its key proves nothing"
        del app.records["k9"]
    _read(app, store, held, now=NOW + 50 * HOUR, sweep_hours=24)
    assert sorted(store.live("invoice")) == ["k1", "k3", "k4", "k5", "k6", "k7"]


def test_a_list_without_a_stamp_is_read_whole_each_time(app: App) -> None:
    """A snapshot: what changed is found, and with sweep_hours 0 what left it too."""
    app.records = {f"k{n}": record(f"k{n}", n, NOW) for n in range(1, 5)}
    store = Store()
    cursor = _read(app, store, incremental=None, sweep_hours=0)
    app.records["k1"] = record("k1", 11, NOW)
    del app.records["k3"]
    _read(app, store, cursor, incremental=None, sweep_hours=0)
    assert {key: row["gross"] for key, row in store.live("invoice").items()} == {"k1": 11, "k2": 2, "k4": 4}


def test_an_ordered_list_goes_on_from_where_it_was(app: App) -> None:
    """Where the application sorts by the stamp, a restart does not begin at the beginning."""
    app.records = {f"k{n}": record(f"k{n}", n, NOW - 9 * HOUR + n * HOUR) for n in range(1, 8)}
    with closing(
        make_source(app.connection(incremental={"param": "updated_since", "column": "updated", "ordered": True}), LANDSCAPE)
    ) as source:
        first = next(iter(source.pull("invoices", None, now=NOW)))
        assert first.cursor is not None
        list(source.pull("invoices", first.cursor, now=NOW))
    assert app.asked("updated_since")[-1] == "2026-05-20T05:50:00Z"


# --- the declaration -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stream", "words"),
    [
        ({"path": None}, "options.streams.invoices.path: needed, and not there"),
        ({"paging": {"style": "pages"}}, "options.streams.invoices.paging"),
        ({"paging": {"style": "cursor"}}, "exactly one of cursor (in the body), of_record (in the last record)"),
        ({"columns": {"id": {"path": "a..b"}}}, "the path 'a..b' can't be read from"),
        ({"columns": _columns(total={"path": "a", "type": "amount", "minor_units": "cents"})}, "column total: minor_units names neither a column nor a currency"),
        ({"incremental": {"param": "since", "column": "modified"}}, "incremental names column modified, which is not declared"),
        ({"incremental": {"param": "since", "column": "total"}}, "incremental goes by a time or a date, but column total is neither"),
        ({"incremental": {"param": "since", "column": "updated", "template": "x"}}, "needs {value}"),
        ({"entities": [{**INVOICE, "entity": "invoices"}]}, "no entity is called 'invoices'"),
        ({"entities": [{**INVOICE, "fields": {"number": "id"}}]}, "invoice needs currency, customer_key, gross, issue_date, status"),
        ({"entities": [{**INVOICE, "fields": {**INVOICE["fields"], "gross": "state"}}]}, "invoice.gross takes a amount, but column state is declared text"),
        ({"deleted": {"column": "void", "is": "present"}}, "deleted names column void"),
        ({"records": "data[0]"}, "leads to one record only"),
        ({"columns": _columns(updated={"type": "time", "formats": ["%d.%m.%Y %H:%M"]})}, "column updated of invoices holds local times"),
        ({"page_size": 3}, "options.streams.invoices.page_size: not known here"),
    ],
)  # fmt: skip
def test_a_mistake_is_said_where_it_is(app: App, stream: dict[str, Any], words: str) -> None:
    """ConfigError names the connection, the stream and what is wrong, before anything is called."""
    with pytest.raises(ConfigError) as caught:
        make_source(app.connection(**stream), LANDSCAPE)
    assert words in str(caught.value)
    assert str(caught.value).startswith("connection billing")
    assert app.server.asked == []


def test_the_test_shows_what_the_declaration_makes_of_the_first_record(app: App) -> None:
    """Column, place, value, canonical field and value; how the list goes on; a path that leads nowhere; a column that nothing uses."""
    app.records = {f"k{n}": record(f"k{n}", n, NOW) for n in range(1, 5)}
    columns = _columns(nowhere={"path": "totals.net"})
    with closing(make_source(app.connection(columns=columns), LANDSCAPE)) as source:
        found = {finding.what: finding for finding in source.probe(now=NOW)}
    assert found["  invoice.gross"].words == "total (at amount.value) 1 -> 1.0000"
    assert found["  invoice.status"].words == "state (at state) open -> posted"
    assert found["invoices -> invoice"].words == "key k1 from id"
    assert found["invoices next page"].words == "by cursor=c3, limit=3: 1 more records"
    assert "nothing is called totals.net" in found["invoices empty column nowhere"].words
    assert not found["invoices empty column nowhere"].ok
    assert found["  customer.name"].words == 'text "Acme"', "what was sent and is not declared"
    assert found["clock"].ok
    app.server.between = lambda _asked, _answer: Reply(b'{"message":"no right to invoices"}', 403)
    with closing(make_source(app.connection(), LANDSCAPE)) as source:
        words = [finding.words for finding in source.probe(now=NOW) if not finding.ok]
    assert any("no right to invoices" in each for each in words)


def test_errors_of_the_application_are_told_by_its_words(app: App) -> None:
    """A path of its own, a problem document, a list of errors: each is found."""
    for body in (
        b'{"message":"gone fishing"}',
        b'{"title":"x","detail":"gone fishing"}',
        b'{"errors":[{"message":"gone fishing"}]}',
        b'{"error":"gone fishing"}',
    ):
        app.server.between = lambda _asked, _answer, body=body: Reply(body, 422)
        with pytest.raises(SourceError, match="gone fishing"):
            _read(app, Store())


@pytest.mark.parametrize("body", list(GARBAGE.values()), ids=list(GARBAGE))
def test_garbage_is_refused_or_rejected(app: App, body: bytes) -> None:
    """Any bytes as an answer, and anything at all as records of one: words and a known cause, or rejects."""
    wrapped = b'{"data":[7,null,{},[],"x",NaN,{"id":{},"amount":[],"updated":1e400},{"id":"a","updated":{"a":1}}]}'
    with closing(make_source(app.connection(deleted={"column": "state", "is": "equals", "value": "void"}), LANDSCAPE)) as source:
        for answer in (body, wrapped):
            try:
                found = source.map("invoices", Page(answer, "application/json", None, "x"))
            except DataError as refusal:
                assert refusal.cause in CAUSES
                continue
            assert all(frame.is_empty() for frame in found.frames.values()), "garbage was believed"
            assert found.gone.is_empty()
            assert set(found.rejects["cause"].to_list()) <= CAUSES.keys()
