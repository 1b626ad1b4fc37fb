"""What the sandbox tells by itself: each vendor's own form, sent again until it is taken, and what the dial does to it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

import sandbox
from sandbox.modern_treasury import spec
from sandbox.modern_treasury.objects import ACCOUNT_ID as ACCOUNT
from sandbox.salesforce.objects import ORGANIZATION
from tests.contracts.suite_openapi import Description
from tests.unit.sandbox.conftest import OPENED, Box
from tests.unit.sandbox.receiver import Came, Receiver, receiving

OUT = "{http://soap.sforce.com/2005/09/outbound}"
SOBJECT = "{urn:sobject.enterprise.soap.sforce.com}"
ACK = (
    b'<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"><soapenv:Body>'
    b'<notificationsResponse xmlns="http://soap.sforce.com/2005/09/outbound"><Ack>%b</Ack></notificationsResponse>'
    b"</soapenv:Body></soapenv:Envelope>"
)
PLAIN = (202, {"Content-Type": "application/json"}, b"{}")


def kind(came: Came) -> str:
    """What the receiver takes a request for."""
    if came.method == "OPTIONS":
        return "question"
    return "soap" if b"<soapenv:" in came.body else "json"


def good(came: Came) -> tuple[int, dict[str, str], bytes]:
    """A receiver that takes everything."""
    if kind(came) == "question":
        return 200, {"WebHook-Allowed-Origin": came.headers["webhook-request-origin"], "WebHook-Allowed-Rate": "120"}, b""
    return (200, {"Content-Type": "text/xml"}, ACK % b"true") if kind(came) == "soap" else PLAIN


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Box]:
    """A sandbox that nobody shares."""
    with sandbox.running(tmp_path, customers=6, history_days=30, start_at=OPENED) as one, httpx.Client(timeout=30) as http:
        yield Box(one, http)


def point(box: Box, system: str, receiver: Receiver) -> None:
    box.control("POST", "receivers", {"system": system, "url": f"{receiver.url}/webhooks/{system}"})


def sender(box: Box, name: str) -> dict[str, Any]:
    """How a sender's mail stands."""
    found: dict[str, Any] = box.control("GET", "receivers")["senders"][name]
    return found


def secret(box: Box, system: str) -> str:
    return box.running.system(system)["webhook_secret"]


def notifications(came: Came) -> list[tuple[str, str, str]]:
    """(notification id, object, record id) of an envelope."""
    found = []
    for one in ET.fromstring(came.body).iter(f"{OUT}Notification"):
        record = one.find(f"{OUT}sObject")
        assert record is not None
        name = record.get("{http://www.w3.org/2001/XMLSchema-instance}type", "").removeprefix("sf:")
        found.append((one.findtext(f"{OUT}Id") or "", name, record.findtext(f"{SOBJECT}Id") or ""))
    return found


def soap(receiver: Receiver) -> list[Came]:
    return [one for one in receiver.posts() if kind(one) == "soap"]


def headers_of(receiver: Receiver) -> list[dict[str, Any]]:
    """Every ChangeEventHeader that came."""
    bodies = [json.loads(one.body) for one in receiver.posts() if kind(one) == "json"]
    return [event["data"]["payload"]["ChangeEventHeader"] for body in bodies for event in body]


def test_an_outbound_message_names_what_changed_and_comes_again_until_it_is_acknowledged(own: Box) -> None:
    """The envelope is the org's own; a 200 without a true Ack, and a 503, bring the same notification again with the latest data."""
    answers: list[tuple[int, dict[str, str], bytes]] = [(200, {}, ACK % b"false"), (503, {}, b"down"), (200, {}, b"<html/>")]

    def grudging(came: Came) -> tuple[int, dict[str, str], bytes]:
        return answers.pop(0) if kind(came) == "soap" and answers else good(came)

    with receiving(grudging) as receiver:
        point(own, "salesforce", receiver)
        made = own.act("new_contract")
        receiver.wait(lambda: len(soap(receiver)) >= 4, "the fourth attempt")
        sent = soap(receiver)[:4]
        assert all((made["id"], "Contract") in [(record, name) for _, name, record in notifications(one)] for one in sent)
        assert len({tuple(notifications(one)) for one in sent}) == 1
        root = ET.fromstring(sent[0].body)
        names = [element.tag for element in root[0][0]]
        assert names[:5] == [f"{OUT}{name}" for name in ("OrganizationId", "ActionId", "SessionId", "EnterpriseUrl", "PartnerUrl")]
        assert root.findtext(f".//{OUT}OrganizationId") == ORGANIZATION
        assert (len(ORGANIZATION), len(notifications(sent[0])[0][0])) == (18, 18)
        assert sent[0].headers["content-type"].startswith("text/xml")
        receiver.wait(lambda: own.control("GET", "receivers")["senders"]["outbound-messages"]["waiting"] == 0, "the acknowledgement")


def test_a_hundred_records_travel_in_one_message(own: Box) -> None:
    """More than a hundred changed at once: messages of at most a hundred notifications, each record in one of them."""
    with receiving(good) as receiver:
        point(own, "salesforce", receiver)
        own.act("bulk", entity="contract", n=130)
        changed = {c.id for c in own.running.world.contracts.values() if c.changed_at >= own.running.world.live_from}
        receiver.wait(lambda: changed <= {record for one in soap(receiver) for _, _, record in notifications(one)}, "130 contracts")
        sizes = [len(notifications(one)) for one in soap(receiver)]
        assert max(sizes) == 100
        told = [own_id for one in soap(receiver) for own_id, _, _ in notifications(one)]
        assert len(told) == len(set(told))


def test_change_events_carry_many_ids_and_say_who_caused_them(own: Box) -> None:
    """One event for the records that changed alike; a write by API names its client; gap and overflow events by the dial."""
    with receiving(good) as receiver:
        point(own, "salesforce", receiver)
        org = own.salesforce()
        numbers = sorted(a.erp_number for a in own.running.world.accounts.values() if a.erp_number)[:2]
        path = f"sobjects/Account/ERP_Customer_Number__c/{numbers[0]}?updateOnly=true"
        for headers in ({"Sforce-Call-Options": "client=tidegate"}, {}):
            assert org.call("PATCH", path, json={"Collections_Status__c": "Overdue"}, headers=headers).status_code == 200
        own.act("break_many", system="salesforce", entity="Account", how="bad_currency", n=3)
        receiver.wait(lambda: len(headers_of(receiver)) >= 3, "three change events")
        ours, others, many = headers_of(receiver)[:3]
        assert (ours["changeType"], ours["changeOrigin"]) == ("UPDATE", "com/salesforce/api/rest/67.0;client=tidegate")
        assert others["changeOrigin"] == "com/salesforce/api/rest/67.0"
        assert (len(many["recordIds"]), many["changeOrigin"], many["entityName"]) == (3, "", "Account")
        assert len({one["transactionKey"] for one in (ours, others, many)}) == 3
        json_posts = [one for one in receiver.posts() if kind(one) == "json"]
        assert {one.headers["authorization"] for one in json_posts} == {f"Bearer {secret(own, 'salesforce')}"}
        for how in ("gap", "overflow"):
            own.fault("salesforce", "event_gap", times=1, how=how)
            own.act("break_record", system="salesforce", entity="Account", how="bad_date")
        receiver.wait(lambda: len(headers_of(receiver)) >= 5, "the gap events")
        gap, overflow = headers_of(receiver)[3:5]
        assert (gap["changeType"], len(gap["recordIds"])) == ("GAP_UPDATE", 1)
        assert (overflow["changeType"], overflow["recordIds"]) == ("GAP_OVERFLOW", ["000000000000000AAA"])


def test_event_mesh_asks_before_it_delivers(own: Box) -> None:
    """OPTIONS with its origin comes first, again until there is consent; then CloudEvents by basic authentication."""
    refusals = [(405, {}, b""), (200, {"WebHook-Allowed-Origin": "somebody.example"}, b"")]

    def shy(came: Came) -> tuple[int, dict[str, str], bytes]:
        return refusals.pop(0) if came.method == "OPTIONS" and refusals else good(came)

    with receiving(shy) as receiver:
        for host in ("sap-emea", "sap-na", "sap-apac"):
            point(own, host, receiver)
        made = own.act("activate_contract", customer=next(iter(own.running.world.customers)))
        receiver.wait(lambda: bool(receiver.posts()), "an event")
        first = [one.method for one in receiver.got].index("POST")
        assert [one.method for one in receiver.got][:first] == ["OPTIONS"] * 3
        event = json.loads(receiver.posts()[0].body)
        assert (event["specversion"], event["type"]) == ("1.0", "sap.s4.beh.salesorder.v1.SalesOrder.Created.v1")
        assert (event["data"]["SalesOrder"], receiver.posts()[0].path) == (made["order"], f"/webhooks/{made['host']}")
        datetime.fromisoformat(event["time"])
        user, _, password = base64.b64decode(receiver.posts()[0].headers["authorization"].split()[1]).decode().partition(":")
        assert (user, password) == ("event-mesh", secret(own, made["host"]))
        assert receiver.posts()[0].headers["content-type"].startswith("application/cloudevents+json")


def test_modern_treasury_signs_the_object_and_lists_what_it_told(own: Box) -> None:
    """The body is the object as its description asks, signed; the same events stand in the list of events, as described."""
    description = Description(spec.spec())
    known = own.running.system("modern-treasury")
    with receiving(good) as receiver:
        point(own, "modern-treasury", receiver)
        own.control("POST", "advance", {"days": 2})
        receiver.wait(lambda: bool(receiver.posts()) and sender(own, "modern-treasury")["waiting"] == 0, "the events of two days")
        posts = receiver.posts()
        for one in posts:
            signature = hmac.new(known["webhook_secret"].encode(), one.body, hashlib.sha256).hexdigest()
            assert one.headers["x-signature"] == signature
            said = json.loads(one.body)
            assert said["data"]["object"] == one.headers["x-topic"]
            description.validator({"$ref": f"#/components/schemas/{one.headers['x-topic']}"}).validate(said["data"])
        topics = {one.headers["x-topic"] for one in posts}
        assert {"transaction", "balance_report", "expected_payment", "incoming_payment_detail"} <= topics
        ids = [one.headers["x-webhook-id"] for one in posts]
        assert len(ids) == len(set(ids))
        answer = own.http.get(
            f"{known['base_url']}/api/events", auth=(known["organization_id"], known["api_key"]), params={"per_page": 100}
        )
        description.answer("GET", "/api/events", 200, answer.json())
        assert {one["id"] for one in answer.json()} <= set(ids)
        assert answer.json()


def test_a_receiver_that_is_away_misses_nothing(own: Box) -> None:
    """What nobody answers waits, and arrives once the receiver is there; another receiver is told from then on; a wrong one is refused."""
    with receiving(good) as receiver:
        gone = receiver.url
    own.control("POST", "receivers", {"system": "modern-treasury", "url": f"{gone}/webhooks/modern-treasury"})
    own.control("POST", "advance", {"days": 1})
    with receiving(good) as receiver:
        receiver.wait(lambda: sender(own, "modern-treasury")["unreached"] >= 2, "two vain attempts")
        assert sender(own, "modern-treasury")["waiting"] >= 1
        point(own, "modern-treasury", receiver)
        receiver.wait(
            lambda: sender(own, "modern-treasury")["waiting"] == 0 and sender(own, "modern-treasury")["taken"] >= 1, "what was waiting"
        )
        assert len(receiver.posts()) >= 1
    assert own.control("DELETE", "receivers/modern-treasury") == {"silenced": 1}
    assert sender(own, "modern-treasury")["url"] is None
    for wrong in ({"system": "kyriba", "url": "http://127.0.0.1:1/"}, {"system": "salesforce", "url": "ftp://x"}):
        assert own.http.post(f"{own.running.control}/control/receivers", json=wrong).status_code == 400


def test_the_dial_duplicates_loses_forges_and_reorders(own: Box) -> None:
    """Copies come at once; a lost one never; a forged one is refused and comes again rightly signed; one held back comes after later ones."""
    key = secret(own, "modern-treasury")

    def strict(came: Came) -> tuple[int, dict[str, str], bytes]:
        rightly = came.headers["x-signature"] == hmac.new(key.encode(), came.body, hashlib.sha256).hexdigest()
        return PLAIN if rightly else (401, {}, b"signature refused")

    def expect(number: int) -> str:
        known = own.running.system("modern-treasury")
        body = {"direction": "credit", "internal_account_id": ACCOUNT, "amount_lower_bound": number, "amount_upper_bound": number}
        answer = own.http.post(f"{known['base_url']}/api/expected_payments", json=body, auth=(known["organization_id"], known["api_key"]))
        own.control("GET", "clock")  # a control request looks at once
        return str(answer.json()["id"])

    with receiving(strict) as receiver:

        def about() -> list[str]:
            return [json.loads(one.body)["data"]["id"] for one in receiver.posts()]

        point(own, "modern-treasury", receiver)
        own.fault("modern-treasury", "event_duplicate", times=1, copies=7)
        seven = expect(1)
        receiver.wait(lambda: about().count(seven) == 7, "seven copies")
        assert len({one.headers["x-webhook-id"] for one in receiver.posts()}) == 1
        own.fault("modern-treasury", "event_lost", times=1)
        lost = expect(2)
        own.fault("modern-treasury", "event_forged", times=1)
        forged = expect(3)
        receiver.wait(lambda: about().count(forged) == 2, "the forged one again")
        assert (sender(own, "modern-treasury")["lost"], sender(own, "modern-treasury")["refused"]) == (1, 1)
        own.fault("modern-treasury", "event_out_of_order", times=1)
        early, late = expect(4), expect(5)
        receiver.wait(lambda: {early, late} <= set(about()), "both")
        assert about().index(late) < about().index(early)
        assert lost not in about()
