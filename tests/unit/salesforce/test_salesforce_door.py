"""The org's webhook: who may knock, what is named, what is answered, and what is never kept."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from sync.connections import Connection
from sync.doors import Hint, Notice
from sync.signatures import SignatureRefused, sign
from sync.systems.salesforce import make_door
from sync.systems.salesforce.wire import full_id

NOW = datetime(2026, 5, 20, 12, 0, tzinfo=UTC)
ORG = "00D5g000004abcd"
RECORD, RECORD_18 = "0015g00000XyZab", full_id("0015g00000XyZab")
SOAP = {"content-type": "text/xml; charset=utf-8"}
JSON = {"content-type": "application/json"}


def door(**options: Any) -> Any:
    """The door of a connection with these options."""
    return make_door(Connection(name="sf", system="salesforce", region="EMEA", options={"organization_id": ORG, **options}))


def message(*notifications: tuple[str, str, str], org: str = ORG, session: str = "00D!SECRET.session", head: str = "") -> bytes:
    """An outbound message as the guide shows it; notifications are (id, object, record)."""
    parts = "".join(
        f'<Notification><Id>{own}</Id><sObject xsi:type="sf:{kind}" xmlns:sf="urn:sobject.enterprise.soap.sforce.com">'
        f"<sf:Id>{record}</sf:Id><sf:Name>A &amp; B</sf:Name></sObject></Notification>"
        for own, kind, record in notifications
    )
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>{head}<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"'
        ' xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body>'
        f'<notifications xmlns="http://soap.sforce.com/2005/09/outbound"><OrganizationId>{org}</OrganizationId>'
        f"<ActionId>04k5g000000abcd</ActionId><SessionId>{session}</SessionId><EnterpriseUrl>https://x/services/Soap/c/67.0/{org}</EnterpriseUrl>"
        f"<PartnerUrl>https://x/services/Soap/u/67.0/{org}</PartnerUrl>{parts}</notifications></soapenv:Body></soapenv:Envelope>"
    ).encode()


ONE = message(("04l5g0000000001AAA", "Opportunity", RECORD))


def refused(the_door: Any, headers: dict[str, str], body: bytes, secrets: tuple[str, ...] = ()) -> bool:
    """Whether the door refuses the request."""
    try:
        the_door.check(headers, body, secrets, now=NOW)
    except SignatureRefused:
        return True
    return False


def test_a_message_of_the_org_is_a_hint_and_is_acknowledged() -> None:
    """Its notifications name records, each once by its own id; the answer is the one that Salesforce waits for."""
    body = message(("04l1", "Opportunity", RECORD), ("04l2", "Account", str(RECORD_18)), ("04l3", "Lead", RECORD))
    the_door = door()
    the_door.check(SOAP, body, (), now=NOW)
    assert list(the_door.notices(SOAP, body)) == [
        Notice("om:04l1", (Hint("opportunities", (str(RECORD_18),)),)),
        Notice("om:04l2", (Hint("accounts", (str(RECORD_18),)),)),
        Notice("om:04l3", ()),
    ]
    reply = the_door.reply()
    assert (reply.status, reply.content_type) == (200, "text/xml")
    assert b'<notificationsResponse xmlns="http://soap.sforce.com/2005/09/outbound"><Ack>true</Ack></notificationsResponse>' in reply.body


@pytest.mark.parametrize("configured", [ORG, full_id(ORG)])
@pytest.mark.parametrize("told", [ORG, full_id(ORG)])
def test_the_organizations_id_counts_in_both_lengths(configured: str, told: str) -> None:
    """15 or 18 characters, on either side."""
    assert not refused(door(organization_id=configured), SOAP, message(("1", "Account", RECORD), org=told))


def test_a_secret_in_the_address_where_it_is_demanded() -> None:
    """An Outbound Message can bring nothing but its address."""
    strict = door(outbound_secret=True)
    assert refused(strict, SOAP, ONE, ("s3",))
    assert refused(strict, {**SOAP, ":path": "/webhooks/sf?secret=wrong"}, ONE, ("s3",))
    assert refused(strict, {**SOAP, ":path": "/webhooks/sf?secret=s3"}, ONE, ())
    assert not refused(strict, {**SOAP, ":path": "/webhooks/sf?secret=s3"}, ONE, ("old", "s3"))
    assert not refused(strict, {**SOAP, "x-tidegate-secret": "s3"}, ONE, ("s3",))


def test_the_session_is_never_kept() -> None:
    """Whatever prefix its element has, the session is not among the bytes that are stored."""
    for body in (ONE, ONE.replace(b"<SessionId>", b"<SessionId  >")):
        kept = door().kept(SOAP, body)
        assert b"SECRET" not in kept
        assert list(door().notices(SOAP, kept)) == list(door().notices(SOAP, body))


def test_a_session_that_hides_is_refused() -> None:
    """Where the bytes can't be cleaned the message is not taken at all."""
    wide = ONE.decode().replace('encoding="UTF-8"', 'encoding="UTF-16"').encode("utf-16")
    with pytest.raises(ValueError, match="Send Session ID"):
        door().kept(SOAP, wide)
    split = message(("1", "Account", RECORD), session="00D<![CDATA[SECRET]]>")
    with pytest.raises(ValueError, match="Send Session ID"):
        door().kept(SOAP, split)


def event(*ids: str, kind: str = "UPDATE", entity: str = "Account", **more: Any) -> dict[str, Any]:
    """A change event in CometD's shape."""
    header = {"entityName": entity, "recordIds": list(ids), "changeType": kind, "changeOrigin": "com/salesforce/api/soap/67.0;client=Astro",
              "transactionKey": "0002343d-9d90", "sequenceNumber": 1, "commitTimestamp": 1747742400000, "commitUser": "0055g", "commitNumber": 92847272780,
              "nulledFields": [], "diffFields": [], "changedFields": ["Name", "LastModifiedDate"], **more}  # fmt: skip
    return {"schema": "IeRuaY6cbI_HsV8Rv1Mc5g", "payload": {"ChangeEventHeader": header, "Name": "A"}, "event": {"replayId": 12}}


def notices(*documents: Any) -> list[Notice]:
    """What the door makes of a JSON body."""
    body = json.dumps(documents[0] if len(documents) == 1 else list(documents)).encode()
    return list(door().notices(JSON, body))


A, B = "0015g00000AAAAAAA1", "0015g00000BBBBBAA1"


def test_a_change_event_names_each_of_its_records() -> None:
    """Many ids in one event, many events in one body; the same event again has the same ids."""
    found = notices(event(A, B), event(A, entity="Quote", sequenceNumber=2))
    assert [notice.hints for notice in found] == [(Hint("accounts", (A,)),), (Hint("accounts", (B,)),), (Hint("quotes", (A,)),)]
    assert len({notice.event_id for notice in found}) == 3
    assert notices(event(B))[0].event_id == found[1].event_id


@pytest.mark.parametrize(
    "wrap",
    [
        lambda e: e,
        lambda e: {"channel": "/data/AccountChangeEvent", "data": e},
        lambda e: {"replayId": "AAAAAAAAAAwAAA==", "ChangeEventHeader": e["payload"]["ChangeEventHeader"], "Name": None},
        lambda e: {"version": "0", "detail-type": "AccountChangeEvent", "detail": e},
        lambda e: {"events": [e]},
        lambda e: {"ChangeEventHeader": {"com.sforce.eventbus.ChangeEventHeader": e["payload"]["ChangeEventHeader"]}},
    ],
)
def test_events_are_found_in_every_wrapping(wrap: Any) -> None:
    """CometD, Pub/Sub as JSON, EventBridge, lists."""
    assert [notice.hints for notice in notices(wrap(event(A)))] == [(Hint("accounts", (A,)),)]


@pytest.mark.parametrize("kind", ["GAP_CREATE", "GAP_UPDATE", "GAP_DELETE", "GAP_UNDELETE", "CREATE", "DELETE", "UNDELETE"])
def test_a_gap_event_reads_its_record_again(kind: str) -> None:
    """What the event could not tell the record does."""
    assert notices(event(A, kind=kind))[0].hints == (Hint("accounts", (A,)),)


@pytest.mark.parametrize(
    ("ids", "kind"), [((A,), "GAP_OVERFLOW"), (("000000000000000AAA",), "GAP_UPDATE"), (("001*",), "UPDATE"), ((), "UPDATE")]
)
def test_an_overflow_reads_everything_again(ids: tuple[str, ...], kind: str) -> None:
    """Too many changes for one transaction, or ids that stand for many: the object is read from its beginning."""
    assert [notice.hints for notice in notices(event(*ids, kind=kind))] == [(Hint("accounts", whole=True),)]


def test_our_own_echo_is_dropped() -> None:
    """What we wrote ourselves need not be read again; another client's name that only begins like ours is not ours."""
    assert notices(event(A, changeOrigin="com/salesforce/api/rest/67.0;client=tidegate")) == []
    assert len(notices(event(A, changeOrigin="com/salesforce/api/rest/67.0;client=tidegate2"))) == 1


def test_events_need_a_proof() -> None:
    """The house's signature or the shared secret; neither configured, nobody gets in."""
    body = json.dumps(event(A)).encode()
    assert refused(door(), JSON, body)
    assert refused(door(), JSON, body, ("s3",))
    assert refused(door(), {**JSON, "x-tidegate-secret": "s4"}, body, ("s3",))
    assert not refused(door(), {**JSON, "x-tidegate-secret": "s3"}, body, ("s3",))
    assert not refused(door(), {**JSON, "authorization": "Bearer s3"}, body, ("s3",))
    assert not refused(door(), {**JSON, "x-tidegate-signature": sign(body, "s3", at=NOW)}, body, ("s3",))
    assert refused(door(), {**JSON, "x-tidegate-signature": sign(body, "s4", at=NOW), "x-tidegate-secret": "s3"}, body, ("s3",))


@pytest.mark.parametrize("body", [b'{"ChangeEventHeader": {}}', b'[{"payload": {"ChangeEventHeader": {"recordIds": ["x"]}}}]'])
def test_an_event_without_an_entity_says_what_it_lacks(body: bytes) -> None:
    """It is kept with its fault, known again by what it holds, and everything is asked for."""
    (found,), (again,) = door().notices(JSON, body), door().notices(JSON, body)
    assert (found.hints, found.fault, found.event_id) == ((Hint(),), "a change event names no entityName", again.event_id)


def test_a_plain_signed_hint_still_means_everything() -> None:
    """A Flow that only says that something changed makes every stream due."""
    assert [notice.hints for notice in notices({"id": "evt-1"})] == [(Hint(),)]
    assert [notice.hints for notice in door().notices(JSON, b"\xff no json")] == [(Hint(),)]


@pytest.mark.parametrize(
    ("short", "full"), [("001D000000IRFma", "001D000000IRFmaIAH"), ("a" * 15, "a" * 15 + "AAA"), ("A" * 15, "A" * 15 + "555")]
)
def test_an_id_of_fifteen_becomes_one_of_eighteen(short: str, full: str) -> None:
    """The three last characters say which of the others are capitals."""
    assert full_id(short) == full
    assert full_id(full) == full


@pytest.mark.parametrize("text", ["", "001", "001D000000IRFm'", "001D000000IRFma\n", None, 5, "ä" * 15])
def test_what_is_no_id_is_none(text: Any) -> None:
    """Nothing but letters and digits goes into a query."""
    assert full_id(text) is None
