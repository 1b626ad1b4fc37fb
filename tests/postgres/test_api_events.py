"""S/4HANA's events through the API: asked for beforehand, let in by the secret, noted once, and the records they name read again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from db.engine import writing
from tests.postgres.api_house import _CONNECTIONS, ApiHouse

SECRET = "mesh-s3cret"
ERP = """
[[connection]]
name = "erp"
system = "sap_s4"
region = "EMEA"
options = { base_url = "http://127.0.0.1:9", webhook_origins = ["eventmesh.example"] }
secrets = { webhook_secret = "env:API_EVENTS_SECRET" }

[[connection]]
name = "erp-silent"
system = "sap_s4"
region = "EMEA"
options = { base_url = "http://127.0.0.1:9" }
"""


@pytest.fixture
def house(engine: sa.Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ApiHouse:
    monkeypatch.setenv("API_EVENTS_SECRET", SECRET)
    monkeypatch.setattr("tests.postgres.api_house._CONNECTIONS", _CONNECTIONS + ERP)
    found = ApiHouse(engine, tmp_path)
    with writing(found.engine) as conn:
        for stream in ("sales_orders", "billing_documents"):
            conn.execute(
                sa.text("insert into process.stream (connection, stream, region) values ('erp', :stream, 'EMEA')"), {"stream": stream}
            )
    return found


def event(number: str, event_id: str, kind: str = "salesorder.v1.SalesOrder.Changed.v1") -> dict[str, Any]:
    key = "SalesOrder" if "salesorder" in kind else "BillingDocument"
    return {"specversion": "1.0", "id": event_id, "source": "/s4", "type": f"sap.s4.beh.{kind}", "data": {key: number}}


def test_a_batch_of_events_names_the_records_to_read(house: ApiHouse) -> None:
    """Each event is noted once; what it names is written down for its stream; the same batch again does nothing more."""
    batch = [event("4711", "e1"), event("4712", "e2"), event("90000001", "e3", "billingdocument.v1.BillingDocument.Created.v1")]
    headers = {"authorization": f"Bearer {SECRET}", "content-type": "application/cloudevents-batch+json"}
    for duplicate in (False, True):
        answer = house.ask("POST", "/webhooks/erp", content=json.dumps(batch).encode(), headers=headers)
        assert (answer.status_code, answer.json()["duplicate"]) == (202, duplicate)
    with house.engine.connect() as conn:
        hints = conn.execute(sa.text("select stream, keys from process.hint order by id")).all()
    assert sorted((row.stream, tuple(row.keys)) for row in hints) == [
        ("billing_documents", ("90000001",)), ("sales_orders", ("4711",)), ("sales_orders", ("4712",)),
    ]  # fmt: skip
    assert house.count("procrastinate_jobs") == 2


def test_events_without_the_secret_are_refused(house: ApiHouse) -> None:
    """No secret, a wrong one, or none configured: 401 and nothing is kept. A body of something else: 400."""
    body = json.dumps(event("4711", "e1")).encode()
    for path, given in (("erp", "Bearer wrong"), ("erp", ""), ("erp-silent", f"Bearer {SECRET}")):
        assert house.ask("POST", f"/webhooks/{path}", content=body, headers={"authorization": given}).status_code == 401
    assert house.ask("POST", "/webhooks/erp", content=b"{}", headers={"authorization": f"Bearer {SECRET}"}).status_code == 400
    assert house.count("process.webhook") == 0


def test_a_sender_is_told_whether_it_may_deliver(house: ApiHouse) -> None:
    """CloudEvents' question beforehand: yes to whom the connection names, no to others, to systems that don't ask so, and to nobody."""
    asked = {"WebHook-Request-Origin": "eventmesh.example", "WebHook-Request-Rate": "100"}
    answer = house.ask("OPTIONS", "/webhooks/erp", headers=asked)
    assert answer.status_code == 200
    assert (answer.headers["webhook-allowed-origin"], answer.headers["webhook-allowed-rate"]) == ("eventmesh.example", "100")
    assert "POST" in answer.headers["allow"]
    for path, headers in (
        ("erp", {"WebHook-Request-Origin": "evil.example"}),
        ("erp", {}),
        ("erp-silent", asked),
        ("crm", asked),
        ("none", asked),
    ):
        assert house.ask("OPTIONS", f"/webhooks/{path}", headers=headers).status_code == 405
