"""CloudEvents 1.0 over HTTP as they arrive at a webhook: structured or in headers (binary), one or a batch; and the sender's question
beforehand, whether it may send at all. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import unquote

from sync.strict_json import loads
from sync.wire_salvage import elements

ORIGIN_MAX = 400
REQUIRED = ("id", "source", "specversion", "type")


@dataclass(frozen=True, slots=True)
class Event:
    """One event. `data` is its JSON object, empty where it brings none; nothing in it is believed."""

    source: str
    id: str
    type: str
    subject: str | None
    data: Mapping[str, Any]

    @property
    def unique(self) -> str:
        """What tells it from every other event: its source and its id."""
        return f"{self.source}|{self.id}"


@dataclass(frozen=True, slots=True)
class Odd:
    """A part of a batch that is no event: its bytes, and why."""

    part: bytes
    why: str


def events(headers: Mapping[str, str], body: bytes) -> tuple[Sequence[Event], Sequence[Odd]]:
    """The events of a request, and what is none among them, so that its neighbours count; `headers` have lower-case names.

    Raises ValueError when there is no event at all.
    """
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if "ce-id" in headers or "ce-type" in headers:
        attributes = {name.removeprefix("ce-"): unquote(value) for name, value in headers.items() if name.startswith("ce-")}
        return [_event({**attributes, "data": loads(body) if body and ("json" in kind or not kind) else {}})], ()
    parts = elements(body)
    if parts is None:
        return [_event(loads(body))], ()
    if not parts and kind != "application/cloudevents-batch+json":
        raise ValueError("there is no event in the body")
    sound: list[Event] = []
    odd: list[Odd] = []
    for part in parts:
        try:
            sound.append(_event(loads(part)))
        except ValueError as error:
            odd.append(Odd(part, str(error)))
    if odd and not sound:
        raise ValueError(odd[0].why)
    return sound, odd


def _event(document: Any) -> Event:
    if not isinstance(document, Mapping):
        raise ValueError("an event is a JSON object")  # noqa: TRY004  (a value of the sender's)
    missing = [name for name in REQUIRED if not isinstance(document.get(name), str) or not document[name]]
    if missing:
        raise ValueError(f"no CloudEvent: {', '.join(missing)} missing")
    if not str(document["specversion"]).startswith("1."):
        raise ValueError(f"CloudEvents {document['specversion']} is not read here; 1.0 is")
    data, subject = document.get("data"), document.get("subject")
    if isinstance(data, str) and data[:1] == "{":
        data = loads(data.encode())
    return Event(
        document["source"], document["id"], document["type"], str(subject) if subject else None, data if isinstance(data, Mapping) else {}
    )


def consent(headers: Mapping[str, str], origins: Sequence[str]) -> Mapping[str, str] | None:
    """The headers that let a sender deliver who asks before (OPTIONS with WebHook-Request-Origin); None when it must not, or did not ask.

    `origins`: who may, "*" in a name stands for any part of it; none: whoever asks, since each delivery has to prove itself anyway. A
    callback address that the sender offers is never called.
    """
    origin = headers.get("webhook-request-origin", "").strip()
    if not origin or len(origin) > ORIGIN_MAX or not origin.isprintable():
        return None
    if origins and not any(fnmatchcase(origin.lower(), allowed.lower()) for allowed in origins):
        return None
    allowed = {"WebHook-Allowed-Origin": origin, "Allow": "POST"}
    return {**allowed, "WebHook-Allowed-Rate": headers.get("webhook-request-rate", "*").strip() or "*"}
