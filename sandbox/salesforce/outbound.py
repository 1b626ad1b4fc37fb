"""Outbound Messages: SOAP 1.1 notifications of a flow, up to 100 at once, sent again until they are acknowledged; always the latest data."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from xml.etree.ElementTree import ParseError
from xml.sax.saxutils import escape, quoteattr

from defusedxml import ElementTree

from sandbox.events.mail import Answer, Letter, Mail, Receiver, Unasked, changed
from sandbox.salesforce.objects import OBJECTS, ORGANIZATION, find, wire
from sandbox.world.engine import World, salesforce_id

BATCH = 100
OUT = "http://soap.sforce.com/2005/09/outbound"
SENT = {"Opportunity": ("Name", "StageName", "Amount"), "Quote": ("Name", "Status"), "Contract": ("ContractNumber", "Status")}
"""Object -> the fields that its message was set up with, beside the id."""
ACTIONS = {name: salesforce_id("04k", at) for at, name in enumerate(SENT, 1)}
_ELSEWHERE = salesforce_id("00D", 999)


class OutboundMessages(Unasked):
    """The org's outbound messages, one for each object of SENT."""

    name, system = "outbound-messages", "salesforce"

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url

    def gather(self, world: World, since: datetime) -> Sequence[Mail]:
        """One message for each hundred changed records of an object."""
        found = []
        for name in SENT:
            entity = OBJECTS[name]
            rows = [row for row in changed(entity.rows(world), "changed_at", since) if not row.deleted]
            for group in (rows[at : at + BATCH] for at in range(0, len(rows), BATCH)):
                keys = [(salesforce_id("04l", world.count("notification")), entity.key(row)) for row in group]
                found.append(Mail(keys[0][0], (name, tuple(keys))))
        return found

    def letter(self, world: World, mail: Mail, receiver: Receiver, *, forged: bool) -> Letter | None:
        """The envelope. Forged: another organization's."""
        name, keys = mail.content
        notifications = "".join(_notification(world, name, own, key) for own, key in keys)
        if not notifications:
            return None  # deleted meanwhile
        organization = _ELSEWHERE if forged else ORGANIZATION
        service = f"{self._base_url}/services/Soap"
        body = (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            '<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns:xsd="http://www.w3.org/2001/XMLSchema"'
            ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">\n <soapenv:Body>\n'
            f'  <notifications xmlns="{OUT}">\n   <OrganizationId>{organization}</OrganizationId>\n'
            f"   <ActionId>{ACTIONS[name]}</ActionId>\n   <SessionId>{organization[:15]}!AQ.sandbox.session</SessionId>\n"
            f"   <EnterpriseUrl>{escape(service)}/c/67.0/{organization[:15]}</EnterpriseUrl>\n"
            f"   <PartnerUrl>{escape(service)}/u/67.0/{organization[:15]}</PartnerUrl>\n{notifications}"
            "  </notifications>\n </soapenv:Body>\n</soapenv:Envelope>"
        )
        # Salesforce can add nothing but to the address: a receiver that demands a secret has it there.
        return Letter(body.encode(), {"Content-Type": "text/xml; charset=UTF-8", "SOAPAction": '""'})

    def taken(self, answer: Answer) -> bool:
        """200 with `<Ack>true</Ack>` in a notificationsResponse; anything else is sent again."""
        try:
            root = ElementTree.fromstring(answer.body, forbid_dtd=True) if answer.status == 200 else None
        except (ParseError, ValueError):
            return False
        told = None if root is None else root.find(f".//{{{OUT}}}notificationsResponse/{{{OUT}}}Ack")
        return told is not None and (told.text or "").strip() in ("true", "1")


def _notification(world: World, name: str, own: str, key: str) -> str:
    """One record as it is now; nothing when it is no more."""
    row: Any = find(world, name, key)
    if row is None or row.deleted:
        return ""
    fields = [("Id", key), *((field, wire(OBJECTS[name].fields[field].get(world, row))) for field in SENT[name])]
    shown = "".join(f"     <sf:{field}>{escape(str(value))}</sf:{field}>\n" for field, value in fields if value is not None)
    return (
        f"   <Notification>\n    <Id>{own}</Id>\n    <sObject xsi:type={quoteattr(f'sf:{name}')}"
        f' xmlns:sf="urn:sobject.enterprise.soap.sforce.com">\n{shown}    </sObject>\n   </Notification>\n'
    )
