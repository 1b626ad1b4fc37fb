"""The API's lookups, health and metrics over a real database: tokens, scopes, regions, exact figures."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
import sqlalchemy as sa

from app.api import tokens
from db.engine import create, writing
from tests.postgres.api_house import ApiHouse, furnish

ROUTES = {
    "/v1/invoices/I2": "invoices:read",
    "/v1/customers/C1/receivables": "receivables:read",
    "/v1/customers/C1/exposure": "exposure:read",
    "/v1/journeys/I2": "journeys:read",
}


@pytest.fixture
def house(engine: sa.Engine, tmp_path: Path) -> ApiHouse:
    furnish(engine)
    return ApiHouse(engine, tmp_path)


def test_an_invoice_is_told_with_what_was_paid(house: ApiHouse) -> None:
    """Open is gross less what was applied, exact; the answer says where it comes from and when it was known."""
    answer = house.get("/v1/invoices/I2", house.token("invoices:read"))
    assert answer.status_code == 200
    (found,) = answer.json()["invoices"]
    assert Decimal(found["gross"]["amount"]) == Decimal(250)
    assert Decimal(found["open"]["amount"]) == Decimal(200)
    assert found["open"]["currency"] == "EUR"
    assert [(Decimal(one["amount"]["amount"]), one["clearing_date"]) for one in found["applications"]] == [(Decimal(50), "2026-02-01")]
    assert found["provenance"]["source"] == "erp"
    assert found["cleared_on"] is None


def test_a_customers_receivables_and_exposure_add_up(house: ApiHouse) -> None:
    """Open 300, of which 200 overdue 1-30 days; exposure is what is open, against its limit."""
    owed = house.get("/v1/customers/C1/receivables", house.token("receivables:read")).json()
    assert (Decimal(owed["open"]["amount"]), owed["open_count"]) == (Decimal(300), 2)
    assert (Decimal(owed["overdue"]["amount"]), owed["overdue_count"]) == (Decimal(200), 1)
    assert sum(Decimal(bucket["amount"]["amount"]) for bucket in owed["aging"]) == Decimal(300)
    exposed = house.get("/v1/customers/C1/exposure", house.token("exposure:read", name="other")).json()
    assert Decimal(exposed["exposure"]["amount"]) == Decimal(300)
    assert Decimal(exposed["limit"]["amount"]) == Decimal(1000)
    assert exposed["breached"] is False


def test_a_journey_is_told_by_any_of_its_numbers(house: ApiHouse) -> None:
    """The journey of a paid invoice has its hops, in order of the business."""
    answer = house.get("/v1/journeys/I1", house.token("journeys:read"))
    assert answer.status_code == 200
    assert answer.json()["hops"]


@pytest.mark.parametrize(("route", "scope"), ROUTES.items())
def test_every_route_wants_its_scope(house: ApiHouse, route: str, scope: str) -> None:
    """No token and a wrong one: 401; all scopes but the route's own: 403; the right one: 200."""
    assert house.get(route).status_code == 401
    assert house.get(route, "tg_guessed").status_code == 401
    assert house.get(route, house.token(*[one for one in ROUTES.values() if one != scope])).status_code == 403
    assert house.get(route, house.token(scope, name="right")).status_code == 200


@pytest.mark.parametrize(("route", "scope"), ROUTES.items())
def test_another_region_does_not_exist(house: ApiHouse, route: str, scope: str) -> None:
    """To a token of NA a number of EMEA answers exactly as one that never was: 404."""
    token = house.token(scope, regions=["NA"])
    hidden, absent = house.get(route, token), house.get(route.replace("I2", "I0").replace("C1", "C0"), token)
    assert hidden.status_code == absent.status_code == 404
    assert hidden.text.replace("I2", "I0").replace("C1", "C0") == absent.text


def test_dead_tokens_open_nothing(house: ApiHouse) -> None:
    """An expired and a revoked token answer 401; tokens are kept as digests only."""
    expired = house.token("invoices:read", expires_at=datetime.now(UTC) - timedelta(seconds=1))
    revoked = house.token("invoices:read", name="revoked")
    with writing(house.engine) as conn:
        assert tokens.revoke(conn, "revoked", now=datetime.now(UTC)) == 1
    assert {house.get("/v1/invoices/I2", token).status_code for token in (expired, revoked)} == {401}
    with house.engine.connect() as conn:
        kept = conn.scalar(sa.text("select string_agg(t::text, '') from governance.api_token t"))
    assert revoked not in str(kept)


def test_health_is_told_apart_from_readiness(house: ApiHouse) -> None:
    """With a database both answer 200; without one the process is alive and not ready (503)."""
    assert (house.get("/healthz").status_code, house.get("/readyz").status_code) == (200, 200)
    nowhere = create("postgresql+psycopg://nobody@127.0.0.1:1/nothing", pool_size=1)
    house.office.database.engine = nowhere
    assert house.get("/healthz").status_code == 200
    assert house.get("/readyz").status_code == 503
    nowhere.dispose()


def test_metrics_are_prometheus_text_without_customers(house: ApiHouse) -> None:
    """Gauges by stream, cause, kind and region, in Prometheus' text form, and no customer's name in them."""
    with writing(house.engine) as conn:
        conn.execute(
            sa.text("insert into process.stream (connection, stream, region, newest_changed_at) values ('crm', 'accounts', 'EMEA', now())")
        )
    answer = house.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    assert 'tidegate_stream_records{connection="crm",region="EMEA",stream="accounts"} 0.0' in answer.text
    assert "Customer" not in answer.text


def test_openapi_describes_every_route(house: ApiHouse) -> None:
    """The document names every route with its failures and says that lookups want a bearer token."""
    document = house.get("/openapi.json").json()
    assert document["openapi"].startswith("3.")
    lookups = [path for path in document["paths"] if path.startswith("/v1/")]
    assert len(lookups) == len(ROUTES)
    for path in lookups:
        described = document["paths"][path]["get"]
        assert {"200", "401", "403", "404"} <= set(described["responses"])
        assert described["security"]
    assert {"/webhooks/{connection}", "/healthz", "/readyz", "/metrics"} <= set(document["paths"])
