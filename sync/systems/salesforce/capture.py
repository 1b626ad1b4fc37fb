"""Change Data Capture events, handed over as JSON by whatever subscribes to them: CometD's shape, Pub/Sub's, one or many. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sync.systems.salesforce.wire import full_id

HEADER = "ChangeEventHeader"
OVERFLOW_ID = "000000000000000AAA"
_DEPTH_MAX = 8
_UNIONS = ("string", "long", "int", "array", "boolean", "double")


@dataclass(frozen=True, slots=True)
class Change:
    """One event of one record; `record` None: the whole object is in doubt. `key` is the same whenever it is delivered again.

    `fault`: why the event can't be read, in words; `object` is then empty.
    """

    object: str
    record: str | None
    key: str
    fault: str | None = None


def changes_of(document: Any, client_name: str) -> list[Change] | None:
    """The changes in a JSON body, our own echoes (`client=` our name) left out; None when it holds no change event at all."""
    headers = list(_headers(document, 0))
    if not headers:
        return None
    return [change for header in headers if not _ours(header, client_name) for change in _changes(header)]


def _headers(value: Any, depth: int) -> Iterator[Mapping[str, Any]]:
    """Every ChangeEventHeader, however the relay wrapped it: payload, data, detail, a list of them."""
    if depth > _DEPTH_MAX:
        return
    if isinstance(value, list):
        for item in value:
            yield from _headers(item, depth + 1)
    elif isinstance(value, Mapping):
        header = _plain(value.get(HEADER))
        if isinstance(header, Mapping):
            yield header
            return
        for item in value.values():
            yield from _headers(item, depth + 1)


def _changes(header: Mapping[str, Any]) -> Iterator[Change]:
    entity = _plain(header.get("entityName"))
    if not isinstance(entity, str) or not entity:
        yield Change("", None, f"cdc:{_digest(header)}", "a change event names no entityName")
        return
    told = _plain(header.get("recordIds"))
    ids = [_text(each) for each in told] if isinstance(told, list) else []
    kind = _text(header.get("changeType"))
    lost = kind == "GAP_OVERFLOW" or not ids or any(_wild(each) for each in ids)
    for each in ["*"] if lost else dict.fromkeys(ids):
        yield Change(entity, None if lost else full_id(each), _key(header, entity, each))


def _wild(record: str) -> bool:
    """An id that stands for more records than one, or that is none."""
    return record == OVERFLOW_ID or full_id(record) is None


def _key(header: Mapping[str, Any], entity: str, record: str) -> str:
    transaction, sequence = _text(header.get("transactionKey")), _plain(header.get("sequenceNumber"))
    if not transaction or not isinstance(sequence, int | str | None):
        return f"cdc:{entity}:{record}:{_digest(header)}"
    return f"cdc:{entity}:{full_id(record) or record}:{transaction}:{sequence}"


def _digest(header: Mapping[str, Any]) -> str:
    """What tells a header that brings no transaction from every other."""
    try:
        return hashlib.sha256(json.dumps(header, sort_keys=True, default=str).encode()).hexdigest()[:32]
    except RecursionError:
        return "deep:" + hashlib.sha256(json.dumps([*header]).encode()).hexdigest()[:32]


def _ours(header: Mapping[str, Any], client_name: str) -> bool:
    """Whether the change is the echo of a call that carried our name in Sforce-Call-Options."""
    parts = _text(header.get("changeOrigin")).replace(",", ";").split(";")
    return any(part.strip() == f"client={client_name}" for part in parts)


def _text(value: Any) -> str:
    """A text, however it is wrapped; empty where there is none."""
    plain = _plain(value)
    return plain if isinstance(plain, str) else ""


def _plain(value: Any) -> Any:
    """A value without the wrapping that Avro's JSON form puts around members of a union."""
    if isinstance(value, Mapping) and len(value) == 1:
        ((kind, inner),) = value.items()
        if kind in _UNIONS or kind.endswith(HEADER):
            return inner
    return value
