"""Change Data Capture events, handed over as JSON by whatever subscribes to them: CometD's shape, Pub/Sub's, one or many. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from sync.systems.salesforce.wire import full_id

HEADER = "ChangeEventHeader"
OVERFLOW_ID = "000000000000000AAA"
_DEPTH_MAX = 8
_UNIONS = ("string", "long", "int", "array", "boolean", "double")


@dataclass(frozen=True, slots=True)
class Change:
    """One event of one record; `record` None: the whole object is in doubt. `key` is the same whenever it is delivered again."""

    object: str
    record: str | None
    key: str


def changes_of(document: Any, client_name: str) -> list[Change] | None:
    """The changes in a JSON body, our own echoes (`client=` our name) left out; None when it holds no change event at all.

    Raises ValueError when an event names no entity.
    """
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
        raise ValueError("a change event names no entityName")
    told = _plain(header.get("recordIds"))
    ids = [str(_plain(each)) for each in told] if isinstance(told, list) else []
    kind = str(_plain(header.get("changeType")) or "")
    lost = kind == "GAP_OVERFLOW" or not ids or any(_wild(each) for each in ids)
    for each in ["*"] if lost else dict.fromkeys(ids):
        yield Change(entity, None if lost else full_id(each), _key(header, entity, each))


def _wild(record: str) -> bool:
    """An id that stands for more records than one, or that is none."""
    return record == OVERFLOW_ID or full_id(record) is None


def _key(header: Mapping[str, Any], entity: str, record: str) -> str:
    transaction = _plain(header.get("transactionKey"))
    if not transaction:
        digest = hashlib.sha256(msgspec.json.encode(header, order="deterministic", enc_hook=str)).hexdigest()[:32]
        return f"cdc:{entity}:{record}:{digest}"
    return f"cdc:{entity}:{full_id(record) or record}:{transaction}:{_plain(header.get('sequenceNumber'))}"


def _ours(header: Mapping[str, Any], client_name: str) -> bool:
    """Whether the change is the echo of a call that carried our name in Sforce-Call-Options."""
    origin = _plain(header.get("changeOrigin"))
    parts = str(origin or "").replace(",", ";").split(";")
    return any(part.strip() == f"client={client_name}" for part in parts)


def _plain(value: Any) -> Any:
    """A value without the wrapping that Avro's JSON form puts around members of a union."""
    if isinstance(value, Mapping) and len(value) == 1:
        ((kind, inner),) = value.items()
        if kind in _UNIONS or kind.endswith(HEADER):
            return inner
    return value
