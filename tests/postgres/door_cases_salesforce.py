"""Salesforce's senders: a relay of change events, which signs or shows the secret, and Outbound Messages, which can do neither."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar

from sync.connections import Connection
from sync.signatures import sign
from sync.systems.salesforce.wire import full_id
from tests.postgres.door_case import GARBAGE, ODD_CREDENTIALS, ODD_SIGNATURES, ONLY_A_LOOK, REFERENCES, DoorCase
from tests.postgres.doors_house import OLD_SECRET, SECRET, Sent, as_json

ORG, OTHER_ORG = "00D5g000004abcd", "00D5g000009zzzz"
REFERENCES_TAKEN = (SECRET, OLD_SECRET)
"""Secrets by which a sender is the right one."""


class ChangeEvents(DoorCase):
    """Change Data Capture as a relay hands it over: JSON in CometD's shape, signed our way."""

    connection = Connection(name="crm", system="salesforce", region="EMEA", options={"organization_id": ORG}, secrets=REFERENCES)
    stream = "opportunities"
    proof: ClassVar[str | None] = "x-tidegate-signature"
    odd_proofs: ClassVar[Sequence[bytes]] = ODD_SIGNATURES
    timed = True
    many = True

    def event(self, number: int, record: int, **more: Any) -> Any:
        header = {"entityName": "Opportunity", "recordIds": [self.key(record)], "changeType": "UPDATE", "changeOrigin": "client=Astro",
                  "transactionKey": f"tx-{number}", "sequenceNumber": 1, "commitNumber": 92847272780, "changedFields": ["StageName"], **more}  # fmt: skip
        return {"schema": "IeRuaY6cbI", "payload": {"ChangeEventHeader": header, "StageName": "Won"}, "event": {"replayId": number}}

    def body(self, *events: Any) -> bytes:
        return as_json(list(events))

    def sealed(self, body: bytes, *, secret: str = SECRET, at: datetime | None = None, number: int = 1) -> Sent:
        return Sent(body, {"content-type": "application/json", "x-tidegate-signature": sign(body, secret, at=at or datetime.now(UTC))})

    def inbox(self, number: int, record: int) -> str:
        return f"cdc:Opportunity:{self.key(record)}:tx-{number}:1"

    def key(self, record: int) -> str:
        return full_id(f"0065g00000{record:05d}") or ""

    def other(self, number: int) -> Any:
        return self.event(number, number, entityName="Account")

    def odd_events(self) -> Sequence[Any]:
        return ({"ChangeEventHeader": {}}, self.event(9, 9, entityName=None), self.event(9, 9, entityName=["Opportunity"]))

    def garbage(self) -> dict[str, bytes]:
        deep = json.loads("[" * 300 + "]" * 300)
        headers = {"digits": self.event(9, 9, transactionKey=None, commitNumber=10**400), "header": self.event(9, 9, transactionKey=None, x=deep),
                   "key": self.event(9, 9, transactionKey={"a": deep}), "ids": self.event(9, 9, recordIds=[deep, {"a": 1}, None])}  # fmt: skip
        return super().garbage() | {f"event with odd {name}": self.body(one) for name, one in headers.items()}

    def with_id(self, text: str) -> bytes | None:
        return self.body(self.event(1, 1)).replace(b"tx-1", text.encode())

    def overflows(self) -> Sequence[Sent]:
        lost = (
            self.event(1, 1, changeType="GAP_OVERFLOW"),
            self.event(2, 1, recordIds=["000000000000000AAA"]),
            self.event(3, 1, recordIds=["006*"]),
        )
        return [self.sealed(self.body(one)) for one in lost]

    def echo(self) -> Sent | None:
        return self.sealed(self.body(self.event(5, 5, changeOrigin="com/salesforce/api/rest/67.0;client=tidegate")))

    def unread(self) -> Sent | None:
        return self.sealed(self.body(self.event(77, 1, entityName="Lead")))


class ChangeEventsByToken(ChangeEvents):
    """The same from a relay that can sign nothing: the secret as a bearer's token."""

    proof = "authorization"
    odd_proofs = ODD_CREDENTIALS
    timed = signs_body = False
    instead = ONLY_A_LOOK

    def sealed(self, body: bytes, *, secret: str = SECRET, at: datetime | None = None, number: int = 1) -> Sent:
        return Sent(body, {"content-type": "application/json", "authorization": f"Bearer {secret}".strip()})


_ENVELOPE = (
    '<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"'
    ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body><notifications xmlns="http://soap.sforce.com/2005/09/outbound">'
    "<OrganizationId>{org}</OrganizationId><ActionId>04k5g000000abcd</ActionId><SessionId>00D!THE.SESSION</SessionId>"
    "<EnterpriseUrl>https://x/services/Soap/c/67.0/{org}</EnterpriseUrl>{each}</notifications></soapenv:Body></soapenv:Envelope>"
)
_NOTIFICATION = (
    '<Notification><Id>{own}</Id><sObject xsi:type="sf:{kind}" xmlns:sf="urn:sobject.enterprise.soap.sforce.com"><sf:Id>{record}</sf:Id>'
    "<sf:Name>A &amp; B</sf:Name></sObject></Notification>"
)


class OutboundMessages(ChangeEvents):
    """SOAP 1.1 of a Flow, unsigned: the organization's id is the proof. The answer must hold a true Ack."""

    proof = None
    timed = signs_body = False
    instead = (
        "the organization's id; the notification's id is remembered for ever; nothing in a body is believed, it can do no more than a look"
    )
    acknowledged = (
        200,
        "text/xml",
        b'<notificationsResponse xmlns="http://soap.sforce.com/2005/09/outbound"><Ack>true</Ack></notificationsResponse>',
    )
    address = ""

    def event(self, number: int, record: int, **more: Any) -> Any:
        return _NOTIFICATION.format(own=f"04l{number:012d}", kind=more.get("kind", "Opportunity"), record=self.key(record))

    def body(self, *events: Any) -> bytes:
        return _ENVELOPE.format(org=ORG, each="".join(events)).encode()

    def sealed(self, body: bytes, *, secret: str = SECRET, at: datetime | None = None, number: int = 1) -> Sent:
        if secret not in REFERENCES_TAKEN:
            body = body.replace(ORG.encode(), OTHER_ORG.encode())
        return Sent(body, {"content-type": "text/xml; charset=utf-8", "soapaction": '""'})

    def inbox(self, number: int, record: int) -> str:
        return f"om:04l{number:012d}"

    def kept(self, body: bytes) -> bytes:
        return body.replace(b"00D!THE.SESSION", b"")

    def forgeries(self) -> dict[str, Sent]:
        genuine = self.request()

        def told(*organizations: str) -> Sent:
            whole = f"<OrganizationId>{ORG}</OrganizationId>".encode()
            return Sent(genuine.body.replace(whole, "".join(organizations).encode()), genuine.headers)

        wrong = ("", OTHER_ORG, ORG.upper(), ORG[:-1], f"{ORG}AAA", f"{ORG}\u00e4", f"{ORG} or", "&#0;", "../..", f"<x>{ORG}</x>")
        found = {f"organization {one!r}": told(f"<OrganizationId>{one}</OrganizationId>") for one in wrong}
        found |= {"none": told(), "two": told(f"<OrganizationId>{OTHER_ORG}</OrganizationId><OrganizationId>{ORG}</OrganizationId>")}
        found |= {f"body {name}": Sent(body, genuine.headers) for name, body in self.broken().items()}
        return found

    def broken(self) -> dict[str, bytes]:
        """Bodies that prove nothing because they can't be read at all."""
        whole = self.body(self.event(1, 1))
        bomb = b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;">]>'
        declared = whole.replace(b"<soapenv:Env", bomb + b"<soapenv:Env", 1)
        return {
            **GARBAGE, "cut": whole[:-40], "DTD": declared, "not UTF-8": whole.replace(b"A &amp; B", b"\xff\xfe"), "NUL": whole.replace(b"A &amp", b"\x00"),
            "JSON": ChangeEvents().body(ChangeEvents().event(1, 1)), "unbound": whole.replace(b"xmlns:soapenv", b"xmlns:other"),
            "deep": whole.replace(b"<Notification>", b"<Notification>" + b"<a>" * 20_000, 1),
        }  # fmt: skip

    def other(self, number: int) -> Any:
        return self.event(number, number, kind="Account")

    def odd_events(self) -> Sequence[Any]:
        return ("<Notification><Id>04l000000000009</Id></Notification>", "<Notification><sObject/></Notification>", "<Notification/>",
                '<Notification><Id>04l000000000008</Id><sObject xsi:type="sf:Opportunity"/></Notification>')  # fmt: skip

    def garbage(self) -> dict[str, bytes]:
        whole, nested = self.body(self.event(9, 9)), "<a>" * 3_000 + "</a>" * 3_000
        hidden = whole.replace(b"00D!THE.SESSION", b"<![CDATA[THE.SESSION]]>")
        many = "<!-- " + "<SessionId" * 40_000 + " --><a/>"
        odd = ("utf-7", "hex", "rot13", "idna", "punycode", "undefined", "unicode_escape", "cp65001", "big5", "utf-32", "x" * 200)
        return {
            **{f"encoding {one}": whole.replace(b'"UTF-8"', f'"{one}"'.encode()).replace(b"A &", b"\x80 &") for one in odd},
            "empty message": self.body(), "only odd ones": self.body(*self.odd_events()), "nested": self.body(f"<Notification>{nested}</Notification>"),
            "nested id": self.body(f"<Notification><Id>{nested}</Id></Notification>"), "hidden session": hidden, "many": self.body("<Notification/>" * 1_000),
            "session begins": self.body(many, self.event(9, 9)), "other": whole.replace(b"Notification>", b"Notice>"),
            "UTF-16": whole.decode().replace("UTF-8", "UTF-16").encode("utf-16"), "Latin-1": whole.replace(b"UTF-8", b"ISO-8859-1").replace(b"A &", b"\xe4&"),
        }  # fmt: skip

    def with_id(self, text: str) -> bytes | None:
        return None

    def overflows(self) -> Sequence[Sent]:
        return ()

    def echo(self) -> Sent | None:
        return None

    def unread(self) -> Sent | None:
        return self.sealed(self.body(self.event(77, 1, kind="Lead")))


class OutboundWithSecret(OutboundMessages):
    """The same where the connection demands the secret too: a message can bring nothing but its address."""

    connection = Connection(
        name="crm-strict", system="salesforce", region="EMEA", options={"organization_id": ORG, "outbound_secret": True}, secrets=REFERENCES
    )  # fmt: skip

    def sealed(self, body: bytes, *, secret: str = SECRET, at: datetime | None = None, number: int = 1) -> Sent:
        sent = super().sealed(body)
        return Sent(sent.body, sent.headers, f"secret={secret.replace('+', '%2B')}")

    def garbage(self) -> dict[str, bytes]:
        return {name: body for name, body in super().garbage().items() if not name.startswith("encoding")}

    def broken(self) -> dict[str, bytes]:
        return {"cut": self.body(self.event(1, 1))[:-40]}

    def forgeries(self) -> dict[str, Sent]:
        genuine = self.request()
        queries = (
            "",
            "secret=",
            "secret=guessed",
            "secret=%FF",
            "secret=%C3%A4",
            "Secret=" + SECRET,
            "secret",
            "&&&=&",
            "secret=%00",
            "a=1;secret=x",
        )
        return super().forgeries() | {f"address {query}": Sent(genuine.body, genuine.headers, query) for query in queries}
