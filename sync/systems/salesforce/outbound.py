"""Outbound Messages: SOAP 1.1 notifications of a Flow or a workflow rule. Pure; XML with a DTD is refused."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element, ParseError

from defusedxml import ElementTree

from sync.systems.salesforce.wire import full_id

ACK = (
    b'<?xml version="1.0" encoding="UTF-8"?>'
    b'<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"><soapenv:Body>'
    b'<notificationsResponse xmlns="http://soap.sforce.com/2005/09/outbound"><Ack>true</Ack></notificationsResponse>'
    b"</soapenv:Body></soapenv:Envelope>"
)
_OUT = "{http://soap.sforce.com/2005/09/outbound}"
_SOAP = "{http://schemas.xmlsoap.org/soap/envelope/}"
_TYPE = "{http://www.w3.org/2001/XMLSchema-instance}type"
_SESSION = re.compile(rb"(<(?:[A-Za-z_][\w.-]*:)?SessionId\b[^<>]*>)[^<]*(</)")


@dataclass(frozen=True, slots=True)
class Notification:
    """One record that changed: the notification's own id, the object's API name (empty: it names none), and the record's 18-character id.

    `fault`: what it lacks, in words.
    """

    id: str
    object: str
    record: str | None
    fault: str | None = None


def is_soap(headers_type: str, body: bytes) -> bool:
    """Whether a body is meant as XML."""
    return "xml" in headers_type or body.lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n").startswith(b"<")


def organization(body: bytes) -> str:
    """The 18-character id of the org that a SOAP body says it is from. Raises ValueError, in words, when it is no message of any."""
    found = full_id(_text(_notifications(body), "OrganizationId"))
    if found is None:
        raise ValueError("the message names no OrganizationId")
    return found


def notifications(body: bytes) -> Sequence[Notification]:
    """What a SOAP body tells of, at least one. Raises ValueError, in words, when it is no message or an empty one."""
    found = [_notification(element) for element in _notifications(body).findall(f"{_OUT}Notification")]
    if not found:
        raise ValueError("the message holds no Notification")
    return found


def _notification(element: Element) -> Notification:
    own, record = _text(element, "Id"), element.find(f"{_OUT}sObject")
    kind = (record.get(_TYPE) or "").rpartition(":")[2] if record is not None else ""
    ids = [child.text for child in record if child.tag.rpartition("}")[2] == "Id"] if record is not None else []
    key = full_id((ids[0] or "").strip()) if ids else None
    lacks = [name for name, there in (("Id", own), ("object's type", kind), ("record's Id", key)) if not there]
    # Without an id it is told apart by what it says, so that its neighbours count all the same.
    fault = f"a Notification lacks its {' and its '.join(lacks)}" if lacks else None
    return Notification(own or _digest(element), kind, key, fault)


def _digest(element: Element) -> str:
    """Of everything in an element, however deep."""
    digest = hashlib.sha256()
    for each in element.iter():
        digest.update("\x00".join((each.tag, *each.keys(), *each.attrib.values(), each.text or "", each.tail or "")).encode())
    return f"sha256:{digest.hexdigest()}"


def without_session(body: bytes) -> bytes:
    """The body without the session of the user who caused the message. Raises ValueError when it can't be taken out."""
    kept = _SESSION.sub(rb"\1\2", body)
    if any("".join(one.itertext()).strip() for one in _notifications(kept).iter(f"{_OUT}SessionId")):
        raise ValueError("the message holds a session that can't be taken out: switch off Send Session ID")
    return kept


def _notifications(body: bytes) -> Element:
    try:
        root: Element = ElementTree.fromstring(body, forbid_dtd=True)
    except (ParseError, LookupError, UnicodeError) as error:
        raise ValueError(f"the body is no XML: {error}") from None
    found = root.find(f"{_SOAP}Body/{_OUT}notifications")
    if found is None:
        raise ValueError("the body is no SOAP 1.1 envelope with outbound notifications")
    return found


def _text(element: Element, name: str) -> str | None:
    text = element.findtext(f"{_OUT}{name}")
    return text.strip() or None if text is not None else None
