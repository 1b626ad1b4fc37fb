"""OAuth 2 client credentials as token servers give and refuse them: each against servers over real sockets."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from sync.errors import AuthError, QuotaError, SourceError, TransientError
from sync.http_gate import _GATES
from sync.systems.sap_s4 import make_source
from tests.contracts.odata_server import LANDSCAPE
from tests.contracts.odata_world import World
from tests.contracts.suite import NOW
from tests.contracts.suite_server import Asked, Reply, ScriptedServer, reply_json
from tests.contracts.suite_store import Store, pull

Tokens = Callable[[Asked], Reply]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setenv("S4_TEST_ID", "sb-client!b1|app")
    monkeypatch.setenv("S4_TEST_SECRET", "oauth-s3cret")
    _GATES.clear()
    found = World(cap=2)
    for number in range(5):
        found.put(
            "A_SalesOrder",
            SalesOrder=f"{number}",
            SoldToParty="1",
            TransactionCurrency="EUR",
            LastChangeDateTime=NOW - timedelta(hours=number),
        )
    yield found
    found.server.close()


def read(world: World, tokens: Tokens) -> tuple[int, int]:
    """How many orders a pull brings, and how many tokens it took."""
    server = ScriptedServer(tokens)
    connection = world.connection(token_url=f"{server.url}/oauth/token?client=100")
    secrets = {"client_id": "env:S4_TEST_ID", "client_secret": "env:S4_TEST_SECRET"}
    source, store = make_source(connection.model_copy(update={"secrets": secrets}), LANDSCAPE), Store()
    try:
        pull(source, "sales_orders", None, store, now=NOW)
    finally:
        source.close()
        server.close()
    return len(store.live("sales_order")), len(server.asked)


@pytest.mark.parametrize("kind", ["application/json;charset=UTF-8", "text/plain"])
@pytest.mark.parametrize(
    "beside",
    [{}, {"token_type": "bearer", "expires_in": 3600}, {"token_type": "BearerToken", "expires_in": "3599"}, {"token_type": None},
     {"expires_in": None}, {"expires_in": 0}, {"expires_in": "0"}, {"expires_in": -1}, {"expires_in": 3599.5}, {"expires_in": "soon"},
     {"expires_in": 10**15}],
    ids=str,
)  # fmt: skip
def test_a_token_of_any_form_lasts_for_a_pull(beside: dict[str, Any], kind: str, world: World) -> None:
    """An end that is missing, no number or none at all does not mean a token for each request."""
    body = json.dumps({"access_token": "t1", "scope": "x", **beside}).encode()
    assert read(world, lambda _: Reply(body, 200, kind)) == (5, 1)


@pytest.mark.parametrize(
    ("reply", "error", "words"),
    [
        (reply_json({"error": "invalid_client"}), AuthError, "no token: invalid_client"),
        (reply_json({"error": "unauthorized_client", "error_description": "no scope"}, 400), AuthError, "unauthorized_client no scope"),
        (reply_json({"error": "temporarily_unavailable"}, 400), TransientError, "temporarily_unavailable"),
        (reply_json({"access_token": "x", "token_type": "mac"}), AuthError, "type 'mac'"),
        (reply_json({"token_type": "Bearer"}), TransientError, "no access_token"),
        (reply_json({"error": "slow_down"}, 429, Retry_After="7"), QuotaError, "asked to wait"),
        (Reply(b"<html><title>Log on</title></html>", 200, "text/html"), TransientError, "no JSON"),
        (Reply(b"<oauth><error>bad</error></oauth>", 401, "application/xml"), AuthError, "answered 401"),
        (Reply(b'{"access_token":"a","access_token":"b"}'), TransientError, "stands twice"),
    ],
)
def test_why_there_is_no_token_is_said(reply: Reply, error: type[SourceError], words: str, world: World) -> None:
    """What a person has to mend is told from what may pass; a token of a kind that is not ours is not tried."""
    with pytest.raises(error, match=words) as caught:
        read(world, lambda _: reply)
    assert "s3cret" not in str(caught.value)
    assert world.server.asked == []


def test_a_token_that_ends_in_the_middle_of_a_page_costs_nothing(world: World) -> None:
    """Each lasts for two requests only: the same request goes on with the next one."""
    given, left = [0], [0]

    def tokens(_: Asked) -> Reply:
        given[0], left[0] = given[0] + 1, 2
        return reply_json({"access_token": f"t{given[0]}", "expires_in": 3600})

    def let_in(asked: Asked) -> Reply | None:
        left[0] -= 1
        return None if left[0] >= 0 and asked.headers["authorization"] == f"Bearer t{given[0]}" else Reply(b"", 401)

    world.hook = let_in
    found, asked = read(world, tokens)
    assert found == 5
    assert asked > 1
