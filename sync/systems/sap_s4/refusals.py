"""What the host says when it refuses: JSON, XML, HTML, a header or nothing at all, read as an error of ours."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any
from xml.etree.ElementTree import ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

from sync.errors import ConflictError, PermanentError, SourceError, TransientError
from sync.http import Answer, error_of, excerpt, wall_clock
from sync.strict_json import NotStrict, loads

_CSRF = b"csrf token validation failed"
_TITLE = re.compile(rb"<title>([^<]{1,300})</title>", re.IGNORECASE)


class CsrfRequired(PermanentError):
    """A write was refused for its CSRF token: nothing was done, a new token is needed."""


def explain(answer: Answer) -> SourceError | None:
    """The error of an answer in the host's own words; None leaves it to the status alone."""
    if answer.status == 403 and (answer.headers.get("x-csrf-token", "").lower() == "required" or _CSRF in answer.body[:2_000].lower()):
        return CsrfRequired(f"{answer.place}: the CSRF token is not accepted", status=403)
    code, words = _told(answer)
    if not code and not words:
        return None
    detail = f"{answer.place}: answered {answer.status}: {' '.join(part for part in (code, words) if part)}"[:500]
    if answer.status == 400 and code.startswith("V1/042"):
        return TransientError(detail, status=400)  # another user has the document open
    if answer.status in (400, 403, 404, 405, 409, 415, 422):
        return PermanentError(detail, status=answer.status)
    if answer.status in (412, 428):
        return ConflictError(detail, status=answer.status)
    error = error_of(answer, now=wall_clock())
    error.detail = detail
    error.args = (detail,)
    return error


_ANSWERED = re.compile(r"answered \d{3}:")
_UNKNOWN = re.compile(
    r"(?i)not found|invalid|unknown|undefined|not (?:been )?defined|not (?:a )?(?:valid|exist|member)|does ?n[o']t exist|no such|no property"
    r"|could ?n[o']t (?:find|be (?:found|resolved))|can ?n[o']t (?:find|be (?:found|resolved))|INVALID_FIELD"
)


def property_refused(error: SourceError, names: Collection[str]) -> str | None:
    """The one of `names` that the host says it does not have; None when the refusal is about something else.

    Gateways say it as 400 "Property X not found in type T" or as 404 "Resource not found for the segment 'X'".
    """
    if error.status not in (400, 404):
        return None
    words = _ANSWERED.split(error.detail, maxsplit=1)[-1]
    if _UNKNOWN.search(words) is None:
        return None
    places = {found.start(): name for name in names if (found := re.search(rf"(?<!\w){re.escape(name)}(?!\w)", words))}
    return places[min(places)] if places else None


def _told(answer: Answer) -> tuple[str, str]:
    """(code, message) out of a JSON body, an XML body, the title of a page or the sap-message header; empty where nothing is said.
    A gateway before the host may name no kind of body, or a wrong one.
    """
    kind, begins = answer.content_type, answer.body[:100].lstrip(b"\xef\xbb\xbf \r\n\t")
    found = ("", "")
    if "json" in kind or begins.startswith(b"{"):
        found = _of_json(answer.body)
    elif "html" not in kind and ("xml" in kind or begins.startswith((b"<?xml", b"<error"))):
        found = _of_xml(answer.body)
    elif (title := _TITLE.search(answer.body[:20_000])) is not None:
        found = ("", excerpt(title[1]))
    if not any(found) and "sap-message" in answer.headers:
        found = _of_header(answer.headers["sap-message"])
    return found


def _of_json(body: bytes) -> tuple[str, str]:
    try:
        document = loads(body)
    except NotStrict:
        return "", ""
    if not isinstance(document, dict):
        return "", ""
    error, fault = document.get("error"), document.get("fault")
    if isinstance(fault, dict):  # of SAP's API management, before the host
        return "", str(fault.get("faultstring") or "")
    if not isinstance(error, dict):
        return "", ""
    message = error.get("message")
    words = str((message.get("value") if isinstance(message, dict) else message) or "")
    return str(error.get("code") or ""), "; ".join(dict.fromkeys(one for one in (words, *_details(error)) if one))


def _details(error: dict[str, Any]) -> list[str]:
    """What stands behind an error: V2's innererror.errordetails, V4's details."""
    inner = error.get("innererror")
    told = inner.get("errordetails") if isinstance(inner, dict) else error.get("details")
    found = [one.get("message") for one in told if isinstance(one, dict)] if isinstance(told, list) else []
    return [one for one in found if isinstance(one, str)][:3]


def _of_xml(body: bytes) -> tuple[str, str]:
    try:
        root = fromstring(body, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError):
        return "", excerpt(body, 120)
    parts = {element.tag.rpartition("}")[2]: (element.text or "").strip() for element in root}
    return parts.get("code", ""), parts.get("message", "")


def _of_header(header: str) -> tuple[str, str]:
    try:
        document = loads(header)
    except NotStrict:
        return "", ""
    return (str(document.get("code") or ""), str(document.get("message") or "")) if isinstance(document, dict) else ("", "")
