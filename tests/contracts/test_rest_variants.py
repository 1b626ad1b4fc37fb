"""How applications differ in paging and searching, each as a small server of its own: what is said of the next page is read as it is meant."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from sync.connections import ConfigError
from sync.errors import SourceError, TransientError
from sync.ports import Cursor
from sync.systems.rest import make_source
from sync.systems.rest.client import Session
from sync.systems.rest.declaration import declared
from tests.contracts.rest_server import COLUMNS, LANDSCAPE, App, record
from tests.contracts.suite import NOW
from tests.contracts.suite_server import Asked, Reply, reply_json
from tests.contracts.suite_store import Store, pull

HOUR = timedelta(hours=1)
RECORDS = [record(f"k{n}", n, NOW - 9 * HOUR + n * HOUR) for n in range(1, 8)]
ALL = {f"k{n}" for n in range(1, 8)}


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> Iterator[App]:
    monkeypatch.setenv("REST_TEST_KEY", "s3cret")
    made = App()
    yield made
    made.server.close()


def _read(
    app: App, answer: Callable[[Asked], Reply], store: Store | None = None, cursor: Cursor | None = None, **stream: Any
) -> tuple[set[str], Cursor | None]:
    """The keys that a whole pull from a server that answers by `answer` brings, and the cursor after it."""
    app.server.between = lambda asked, _: answer(asked)
    held = Store() if store is None else store
    with closing(make_source(app.connection(**stream), LANDSCAPE)) as source:
        done = pull(source, "invoices", cursor, held, now=NOW)
    return set(held.live("invoice")), done.cursor


def _page(start: int, size: int = 3, **beside: Any) -> dict[str, Any]:
    return {"data": RECORDS[start : start + size], **beside}


def _from(asked: Asked, name: str = "from") -> int:
    return int(asked.query.get(name, "0"))


# --- addresses of the next page --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address", ["?from={}", "invoices?from={}", "/v1/invoices?from={}", "./invoices?from={}", "{base}/v1/invoices?from={}"]
)
@pytest.mark.parametrize("style", ["link", "next url"])
def test_a_relative_address_is_meant_from_its_own_page(app: App, style: str, address: str) -> None:
    """RFC 8288 and RFC 3986: whole, from the root, beside the page, or its query alone."""
    app.paging = style

    def answer(asked: Asked) -> Reply:
        if asked.path != "/v1/invoices":
            return reply_json({"message": "no such thing"}, 404)
        after = _from(asked) + 3
        told = address.format(after, base=app.server.url) if after < len(RECORDS) else None
        headers = {"Link": f'<{told}>; rel="next"'} if told and style == "link" else {}
        return Reply(json.dumps(_page(after - 3, meta={"next_url": told})).encode(), headers=headers)

    assert _read(app, answer)[0] == ALL


@pytest.mark.parametrize("address", ["http://[::1", "//", "http://", "ftp://x/y", "javascript:x", "http://x:99999999/"])
def test_an_address_that_is_none_is_an_error_in_words(app: App, address: str) -> None:
    """Whatever stands there, the pull ends in one of our errors."""
    app.paging = "next url"
    with pytest.raises(SourceError) as caught:
        _read(app, lambda _: reply_json(_page(0, meta={"next_url": address})))
    assert caught.value.detail


def test_behind_a_gateway_a_server_names_itself_by_http(app: App) -> None:
    """The own host over http is asked for over https; another host, another port and a downgrade stay what they are."""
    given = app.connection().model_dump()
    given["options"]["base_url"] = "https://api.example.com/v1"
    connection = type(app.connection()).model_validate(given)
    session = Session(connection, declared(connection))
    page = "invoices"
    assert session.next_to(page, "http://api.example.com/v1/invoices?page=2") == "https://api.example.com/v1/invoices?page=2"
    for other in ("http://other.example.com/v1", "http://api.example.com:8080/v1", "http://user@api.example.com/v1"):
        assert session.next_to(page, other) == other
        with pytest.raises(SourceError):
            session.client.link(session.next_to(page, other))
    session.close()


# --- flags and cursors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("yes", "no"), [(True, False), ("true", "false"), ("True", "FALSE"), (1, 0), ("1", "0"), ("Y", "N"), ("/next", None), ("x", "")]
)
@pytest.mark.parametrize("paging", [{"style": "page", "size": 3, "more": "more"}, {"style": "offset", "size": 3, "more": "more"}])
def test_a_flag_says_yes_in_many_ways(app: App, paging: dict[str, Any], yes: Any, no: Any) -> None:
    """No spelling ends a list early, and none makes it ask on and on."""

    def answer(asked: Asked) -> Reply:
        start = _from(asked, "offset") if paging["style"] == "offset" else (int(asked.query["page"]) - 1) * 3
        return reply_json(_page(start, more=yes if start + 3 < len(RECORDS) else no))

    assert _read(app, answer, paging=paging)[0] == ALL
    assert len(app.server.asked) == 3


def test_a_flag_that_is_left_out_ends_nothing_early(app: App) -> None:
    """Where the flag is not there, a full page is asked on from, with a cursor or without."""
    for paging in ({"style": "page", "size": 3, "more": "more"}, {"style": "cursor", "of_record": "id", "more": "more", "param": "from"}):

        def answer(asked: Asked, paging: dict[str, Any] = paging) -> Reply:
            by_id = next((n for n, each in enumerate(RECORDS, 1) if each["id"] == asked.query.get("from")), 0)
            return reply_json(_page((int(asked.query["page"]) - 1) * 3 if paging["style"] == "page" else by_id))

        assert _read(app, answer, paging=paging)[0] == ALL


@pytest.mark.parametrize("end", [None, "", False, 0, "absent"])
def test_a_cursor_ends_in_many_ways(app: App, end: Any) -> None:
    """Null, empty, false, zero, or not there; an empty page in the middle ends nothing."""

    def answer(asked: Asked) -> Reply:
        start = _from(asked, "cursor")
        if start == 100:
            return reply_json(_page(3, cursor=6))
        following = {0: 100}.get(start, start + 3)
        beside = {"cursor": following if following < len(RECORDS) or following == 100 else end}
        if start == 0:
            return reply_json(_page(0, **beside))
        return reply_json(_page(start, **({} if beside["cursor"] == "absent" else beside)))

    def with_a_gap(asked: Asked) -> Reply:
        return reply_json({"data": [], "cursor": 3}) if asked.query.get("cursor") == "100" else answer(asked)

    paging = {"style": "cursor", "cursor": "cursor"}
    assert _read(app, answer, paging=paging)[0] == ALL
    assert _read(app, with_a_gap, paging=paging)[0] == ALL


@pytest.mark.parametrize(
    ("paging", "body", "words"),
    [
        ({"of_record": "id", "more": "more"}, {"data": [], "more": True}, "names no cursor"),
        ({"cursor": "cursor", "more": "more"}, {"data": [], "more": "true"}, "names no cursor"),
        ({"cursor": "cursor"}, _page(0, cursor={"id": 3}), "no single value"),
    ],
)
def test_what_says_that_there_is_more_and_not_where_is_no_end(app: App, paging: dict[str, Any], body: dict[str, Any], words: str) -> None:
    """An empty page, and a cursor that is an object, with more to come: an outage in words, never a shorter list."""
    with pytest.raises(TransientError, match=words):
        _read(app, lambda _: reply_json(body), paging={"style": "cursor", **paging})


@pytest.mark.parametrize("poison", ['{"id":"k3","amount":{"value":NaN}}', '{"id":"k3","id":"k3"}'])
def test_a_broken_last_record_does_not_hide_the_next_page(app: App, poison: str) -> None:
    """A record that can't be believed costs itself; its id still says where the next page is."""

    def answer(asked: Asked) -> Reply:
        start = int(asked.query.get("cursor", "k0")[1:])
        data = [poison if each["id"] == "k3" else json.dumps(each) for each in RECORDS[start : start + 3]]
        return Reply(f'{{"data":[{",".join(data)}],"more":{json.dumps(start + 3 < len(RECORDS))}}}'.encode())

    store = Store()
    keys, _ = _read(app, answer, store, paging={"style": "cursor", "of_record": "id", "more": "more"})
    assert (keys, len(store.rejects)) == (ALL - {"k3"}, 1)
    assert len(app.server.asked) == 3


@pytest.mark.parametrize("inclusive", [True, False])
def test_a_list_is_paged_by_what_it_is_sorted_by(app: App, inclusive: bool) -> None:
    """Keyset: from the last record's moment on, also where that record comes again; many of one moment are told, not lost."""

    def answer(asked: Asked, records: list[dict[str, Any]] = RECORDS) -> Reply:
        since = asked.query.get("updated_since", "")
        found = [each for each in records if (each["updated"] >= since if inclusive else each["updated"] > since)]
        return reply_json({"data": found[:3]})

    paging = {"style": "cursor", "of_record": "updated", "param": "updated_since", "size_param": "limit", "size": 3}
    assert _read(app, answer, paging=paging)[0] == ALL
    if inclusive:
        alike = [{**each, "updated": RECORDS[0]["updated"]} for each in RECORDS]
        with pytest.raises(TransientError, match="round in circles"):
            _read(app, lambda asked: answer(asked, alike), paging=paging)


def test_a_total_that_shrinks_while_it_is_read_ends_the_list(app: App) -> None:
    """Records that go while pages are read: the newest count is the one that counts."""

    def answer(asked: Asked) -> Reply:
        start = _from(asked, "offset")
        return reply_json(_page(start, total=len(RECORDS) - (1 if start else 0)) if start < 6 else {"data": [], "total": 6})

    assert _read(app, answer, paging={"style": "offset", "size": 3, "total": "total"})[0] == ALL - {"k7"}


def test_a_server_that_ignores_what_is_asked(app: App) -> None:
    """A filter that is ignored brings everything again and changes nothing; pages that are ignored are told as a circle."""
    store = Store()
    _, cursor = _read(app, lambda _: reply_json({"data": RECORDS}), store, paging=None)
    before = store.changes
    _read(app, lambda _: reply_json({"data": RECORDS}), store, cursor, paging=None)
    assert store.changes == before
    with pytest.raises(TransientError, match="round in circles"):
        _read(app, lambda _: reply_json({"data": RECORDS}), paging={"style": "page"})


# --- searches --------------------------------------------------------------------------------------------------------------------


def _told(app: App) -> list[Mapping[str, Any]]:
    return [asked.json() for asked in app.server.asked]


def test_a_search_is_sent_as_json_and_paged_in_its_body(app: App) -> None:
    """By POST: the body as declared, cursor and moment at their places in it, numbers as numbers; first all, then what changed."""
    search: dict[str, Any] = {
        "method": "POST", "params": {"archived": False},
        "body": {"filterGroups": [{"filters": [{"propertyName": "updated", "operator": "GTE", "value": "0"}]}], "sorts": ["updated"]},
        "paging": {"style": "cursor", "cursor": "paging.next.after", "param": "page.after", "size_param": "page.limit", "size": 3},
        "incremental": {"param": "filterGroups[0].filters[propertyName=updated].value", "column": "updated", "format": "epoch_ms", "initial": "0"},
    }  # fmt: skip

    def answer(asked: Asked) -> Reply:
        assert (asked.method, asked.headers["content-type"], asked.query) == ("POST", "application/json", {"archived": "false"})
        start = int(asked.json()["page"].get("after", 0))
        return reply_json(_page(start, paging={"next": {"after": str(start + 3)}} if start + 3 < len(RECORDS) else {}))

    keys, cursor = _read(app, answer, **search)
    assert keys == ALL
    assert [body["page"] for body in _told(app)] == [{"limit": 3}, {"limit": 3, "after": "3"}, {"limit": 3, "after": "6"}]
    assert {json.dumps(body["filterGroups"]) for body in _told(app)} == {
        '[{"filters": [{"propertyName": "updated", "operator": "GTE", "value": 0}]}]'
    }
    app.server.asked.clear()
    _read(app, answer, cursor=cursor, **search)
    newest = NOW - 2 * HOUR - timedelta(minutes=10)
    assert _told(app)[0]["filterGroups"][0]["filters"][0]["value"] == int(newest.timestamp()) * 1000


def test_a_search_by_offset_counts_in_numbers(app: App) -> None:
    """`from` and `size` as numbers in the body, no filter where nothing was read yet."""

    def answer(asked: Asked) -> Reply:
        start = asked.json()["from"]
        assert isinstance(start, int)
        return reply_json(_page(start, hits={"total": {"value": len(RECORDS)}}))

    paging = {"style": "offset", "param": "from", "size_param": "size", "size": 3, "total": "hits.total.value"}
    assert _read(app, answer, method="POST", paging=paging)[0] == ALL
    assert _told(app)[0] == {"from": 0, "size": 3}


@pytest.mark.parametrize(
    ("stream", "words"),
    [
        ({"body": {"a": 1}}, 'a body is sent with method = "POST" only'),
        ({"method": "POST", "incremental": {"param": "filters[0].value", "column": "updated"}}, "the path 'filters[0].value' leads to nothing in the body"),
        ({"method": "PUT"}, "options.streams.invoices.method"),
        ({"columns": {**COLUMNS, "total": {**COLUMNS["total"], "upper": True}}}, "upper is for a column of type text"),
    ],
)  # fmt: skip
def test_a_search_that_can_not_be_sent_is_said_at_once(app: App, stream: dict[str, Any], words: str) -> None:
    """Before anything is called."""
    with pytest.raises(ConfigError) as caught:
        make_source(app.connection(**stream), LANDSCAPE)
    assert words in str(caught.value)


# --- values and keys -------------------------------------------------------------------------------------------------------------


def test_codes_in_small_letters(app: App) -> None:
    """Many write usd: with `upper` it is a currency, and its cents are dollars."""
    one = record("k1", 12345, NOW) | {"amount": {"value": 12345, "currency": "usd"}}
    columns = {
        **COLUMNS,
        "currency": {"path": "amount.currency", "required": True, "upper": True},
        "total": {"path": "amount.value", "type": "amount", "minor_units": "currency"},
    }
    store = Store()
    _read(app, lambda _: reply_json({"data": [one]}), store, columns=columns, paging=None)
    [row] = store.live("invoice").values()
    assert (row["gross"], row["currency"]) == (Decimal("123.45"), "USD")


def test_a_key_in_the_query_is_sent_beside_a_parameter_that_ends_alike(app: App) -> None:
    """`my_api_key=` in the application's own address is not our `api_key`."""
    app.paging, app.auth = "next url", "query"

    def answer(asked: Asked) -> Reply:
        if asked.query.get("api_key") != "s3cret":
            return reply_json({"message": "who are you?"}, 401)
        after = _from(asked) + 3
        return reply_json(_page(after - 3, meta={"next_url": f"?my_api_key=1&from={after}" if after < len(RECORDS) else None}))

    assert _read(app, answer)[0] == ALL
