"""Webhooks in: believed only when signed, noted once however often they come, and never more than a hint."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from db.engine import reading, writing
from sync import landing
from sync.signatures import sign
from sync.webhooks import MAX_BODY_BYTES
from tests.postgres.api_house import ApiHouse

SECRET, OLD_SECRET = "whsec_new", "whsec_old"
BODY = b'{"id": "evt-1", "object": "Contract"}'


@pytest.fixture
def house(engine: sa.Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ApiHouse:
    monkeypatch.setenv("API_HOUSE_SECRET", SECRET)
    monkeypatch.setenv("API_HOUSE_OLD_SECRET", OLD_SECRET)
    return ApiHouse(engine, tmp_path)


def signed(body: bytes = BODY, *, secret: str = SECRET, late: float = 0, to: str = "crm", event: str | None = "evt-1") -> dict[str, Any]:
    """A request as a sender makes it `late` seconds ago."""
    headers = {
        "x-tidegate-signature": sign(body, secret, at=datetime.now(UTC) - timedelta(seconds=late)),
        "content-type": "application/json",
    }
    return {"method": "POST", "url": f"/webhooks/{to}", "content": body, "headers": headers | ({"x-event-id": event} if event else {})}


def stored(house: ApiHouse) -> tuple[int, int, int]:
    return house.count("process.webhook"), house.count("raw.page"), house.count("procrastinate_jobs")


def test_fifty_copies_at_once_are_one_event(house: ApiHouse) -> None:
    """The same event fifty times at the same moment: all accepted, one noted, its bytes landed once, one pull asked for."""
    with writing(house.engine) as conn:
        conn.execute(sa.text("insert into process.stream (connection, stream, region) values ('crm', 'contracts', 'EMEA')"))
    answers = house.ask_all([signed() for _ in range(50)])
    assert {answer.status_code for answer in answers} == {202}
    assert [answer.json()["duplicate"] for answer in answers].count(False) == 1
    assert stored(house) == (1, 1, 1)
    later = house.ask_all([signed()])[0]
    assert later.json() == {"accepted": True, "event_id": "evt-1", "duplicate": True}
    assert stored(house) == (1, 1, 1)


def test_the_bytes_land_as_they_came(house: ApiHouse) -> None:
    """Whitespace and odd bytes of a body are kept exactly; without an event id its digest is the id."""
    body = b'  {"a":\t1, "a": 2}\xff '
    assert house.ask_all([signed(body, event=None)])[0].status_code == 202
    assert house.ask_all([signed(body, event=None)])[0].json()["duplicate"] is True
    with house.engine.connect() as conn:
        page = conn.execute(sa.text("select kind, byte_count, region, connection from raw.page")).one()
        state = conn.scalar(sa.text("select state from process.webhook"))
    assert tuple(page) == ("webhook", len(body), "EMEA", "crm")
    assert state == "processed"


def test_a_secret_can_be_rotated(house: ApiHouse) -> None:
    """While a secret is rotated both the new and the previous one are taken."""
    answers = house.ask_all([signed(secret=SECRET, event="a"), signed(secret=OLD_SECRET, event="b")])
    assert [answer.status_code for answer in answers] == [202, 202]


def test_what_is_not_proven_is_refused_and_leaves_nothing(house: ApiHouse) -> None:
    """Forged, tampered, expired, future, unsigned, malformed, non-ASCII, unknown and secretless: 401 alike, nothing stored."""
    tampered = signed()
    tampered["content"] = BODY + b" "
    unsigned = signed()
    del unsigned["headers"]["x-tidegate-signature"]
    odd = []
    for value in (b"", b"t=1", b"v1=00", b"t=x,v1=00", "t=1,v1=\u00e4\u00f6".encode(), b"t=1,v1=\xff\xfe", b"t=99999999999999999999,v1=00"):
        request = signed()
        request["headers"] = [(b"x-tidegate-signature", value), (b"x-event-id", b"evt-1")]
        odd.append(request)
    fresh = signed()
    stamp = fresh["headers"]["x-tidegate-signature"].split(",")[0]
    non_ascii = {**fresh, "headers": [(b"x-tidegate-signature", f"{stamp},v1=ä".encode())]}
    requests = [
        signed(secret="guessed"), tampered, unsigned, signed(late=301), signed(late=-310), non_ascii, signed(to="nowhere"), signed(to="silent"), *odd
    ]  # fmt: skip
    answers = house.ask_all(requests)
    assert [answer.status_code for answer in answers] == [401] * len(requests)
    assert {answer.text for answer in answers} == {'{"detail":"signature refused"}'}
    assert stored(house) == (0, 0, 0)


def test_an_endless_body_is_cut_off(house: ApiHouse) -> None:
    """More than 1 MB is refused with 413, also when it is signed; exactly 1 MB is taken."""
    assert house.ask_all([signed(b"x" * (MAX_BODY_BYTES + 1))])[0].status_code == 413
    assert stored(house) == (0, 0, 0)
    assert house.ask_all([signed(b"x" * MAX_BODY_BYTES)])[0].status_code == 202


NOTIFICATION = (
    '<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"'
    ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body><notifications xmlns="http://soap.sforce.com/2005/09/outbound">'
    "<OrganizationId>{org}</OrganizationId><ActionId>04k</ActionId><SessionId>00D!THE.SESSION</SessionId>{each}</notifications>"
    "</soapenv:Body></soapenv:Envelope>"
)


def outbound(*ids: str, org: str = "00D5g000004abcdEAA") -> dict[str, Any]:
    """An Outbound Message as Salesforce posts it: unsigned, as SOAP."""
    each = "".join(
        f'<Notification><Id>{own}</Id><sObject xsi:type="sf:Opportunity" xmlns:sf="urn:sobject.enterprise.soap.sforce.com">'
        f"<sf:Id>0065g00000{own}AAA</sf:Id></sObject></Notification>"
        for own in ids
    )
    body = NOTIFICATION.format(org=org, each=each).encode()
    return {"method": "POST", "url": "/webhooks/org", "content": body, "headers": {"content-type": "text/xml; charset=utf-8"}}


def test_an_outbound_message_names_records_and_keeps_no_session(house: ApiHouse) -> None:
    """Each notification is one event, its record is to be read again, the answer is the one Salesforce waits for, and the session is
    nowhere in the database.
    """
    with writing(house.engine) as conn:
        conn.execute(sa.text("insert into process.stream (connection, stream, region) values ('org', 'opportunities', 'EMEA')"))
    answers = [house.ask_all([outbound(*ids)])[0] for ids in (("00001", "00002"), ("00002", "00003"))]
    for answer in answers:
        assert (answer.status_code, answer.headers["content-type"].partition(";")[0]) == (200, "text/xml")
        assert "<Ack>true</Ack>" in answer.text
    with house.engine.connect() as conn:
        events = conn.scalars(sa.text("select event_id from process.webhook order by 1")).all()
        keys = conn.scalars(sa.text("select keys[1] from process.hint where stream = 'opportunities' order by 1")).all()
    with reading(house.engine) as conn:
        pages = conn.scalars(sa.text("select id from raw.page order by id")).all()
        bodies = [landing.read(conn, page).page.body for page in pages]
    assert events == ["om:00001", "om:00002", "om:00003"]
    assert keys == ["0065g0000000001AAA", "0065g0000000002AAA", "0065g0000000003AAA"]
    assert len(bodies) == 2
    assert not any(b"THE.SESSION" in body for body in bodies)


def test_an_outbound_message_of_another_org_leaves_nothing(house: ApiHouse) -> None:
    """The organization is the proof: another one's message is 401, as is one to a connection that names none."""
    requests = [outbound("00001", org="00D5g000009zzzz"), {**outbound("00001"), "url": "/webhooks/crm"}]
    assert [answer.status_code for answer in house.ask_all(requests)] == [401, 401]
    assert stored(house) == (0, 0, 0)


def test_a_notification_that_says_nothing_keeps_its_neighbours(house: ApiHouse) -> None:
    """One without Id, one without sObject, one sound: all acknowledged; the sound one's record is named, for the others all is asked for."""
    with writing(house.engine) as conn:
        conn.execute(sa.text("insert into process.stream (connection, stream, region) values ('org', 'opportunities', 'EMEA')"))
    request = outbound("00001")
    odd = b"<Notification><Id>00009</Id></Notification><Notification><sObject/></Notification></notifications>"
    answer = house.ask_all([request | {"content": request["content"].replace(b"</notifications>", odd)}])[0]
    assert (answer.status_code, "<Ack>true</Ack>" in answer.text) == (200, True)
    assert house.count("process.webhook") == 3
    with house.engine.connect() as conn:
        assert conn.scalars(sa.text("select keys[1] from process.hint")).all() == ["0065g0000000001AAA"]
    twice = request["content"].replace(b"<SessionId>", b"<SessionId/><SessionId><![CDATA[x]]>")
    assert house.ask_all([request | {"content": twice}])[0].status_code == 400  # a session that can't be taken out is not kept


@pytest.mark.parametrize("odd", ["\\u0000", "\\ud800"])
def test_letters_that_no_database_holds_do_no_harm(house: ApiHouse, odd: str) -> None:
    """An event id, or a record's, with a NUL or half a letter: accepted once, its stream is asked for; two long ids are two events."""
    with writing(house.engine) as conn:
        conn.execute(sa.text("insert into process.stream (connection, stream, region) values ('crm', 'opportunities', 'EMEA')"))
    change = '{"payload": {"ChangeEventHeader": {"entityName": "Opportunity", "recordIds": ["0065g00000AbcDe"], "transactionKey": "%s"}}}'
    bodies = [(change % key).encode() for key in (f"k{odd}", "x" * 500 + "a", "x" * 500 + "b")]
    for duplicate in (False, True):
        answers = [house.ask_all([signed(body, event=None)])[0] for body in bodies]
        assert [(answer.status_code, answer.json()["duplicate"]) for answer in answers] == [(202, duplicate)] * 3
    assert house.count("process.webhook") == 3
    assert house.count("process.hint") == 3
