"""Many accounts updated with one call, each by its id, each with a result of its own. It can't create any: there is no id to create by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from sync.errors import PermanentError, QuotaError, SourceError, TransientError, UnknownOutcome
from sync.ports import Order, Receipt
from sync.systems.salesforce.answers import RowLocked
from sync.systems.salesforce.client import Session

BATCH_MAX = 200
_ENCODER = msgspec.json.Encoder(decimal_format="number")
_PASSING = (
    "ALL_OR_NONE_OPERATION_ROLLED_BACK", "PROCESSING_HALTED", "SERVER_UNAVAILABLE", "QUERY_TIMEOUT", "UNKNOWN_EXCEPTION",
    "CANNOT_EXECUTE_FLOW_TRIGGER",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Update:
    """An account's new fields: `record` is its id, `before` what it held."""

    order: Order
    record: str
    fields: Mapping[str, Any]
    before: Mapping[str, Any]


def update_all(session: Session, updates: Sequence[Update]) -> dict[str, Receipt | SourceError]:
    """Updates the accounts, at most 200; effect key -> what became of each. Raises UnknownOutcome when no answer came, or none that says.

    The records are independent of each other: one that is refused stops no other.
    """
    records = [{"attributes": {"type": "Account"}, "Id": update.record, **update.fields} for update in updates]
    body = _ENCODER.encode({"allOrNone": False, "records": records})
    answer = session.patch(f"{session.settings.data}/composite/sobjects", body)
    try:
        said = answer.json()
    except TransientError as error:
        raise UnknownOutcome(f"{answer.place}: the answer can't be read: it may or may not have been done") from error
    if not isinstance(said, list) or len(said) != len(updates) or not all(isinstance(result, dict) for result in said):
        raise UnknownOutcome(f"{answer.place}: the answer does not say what became of each record")
    return {update.order.effect_key: _outcome(update, result) for update, result in zip(updates, said, strict=True)}


def _outcome(update: Update, result: Mapping[str, Any]) -> Receipt | SourceError:
    subject = update.order.object_key
    if result.get("success") is True:
        if result.get("created") is True:
            return PermanentError(f"the org created {result.get('id')} although it was told to update {update.record}", subject=subject)
        return Receipt("applied", reference=update.record, version=str(update.order.payload["version"]), detail={"before": update.before})
    listed = result.get("errors")
    first = listed[0] if isinstance(listed, list) and listed and isinstance(listed[0], dict) else {}
    # a collection says statusCode where everything else says errorCode
    code = str(first.get("statusCode") or first.get("errorCode") or "no code")
    message = " ".join(str(first.get("message") or "refused without a reason").split())[:300]
    fields = ", ".join(str(name) for name in first.get("fields") or ())
    words = f"account {update.record}: {code}: {message}{f' ({fields})' if fields else ''}"
    error: SourceError
    if code == "UNABLE_TO_LOCK_ROW":
        error = RowLocked(words, subject=subject)
    elif code == "REQUEST_LIMIT_EXCEEDED":
        error = QuotaError(words)
    elif code in _PASSING:
        error = TransientError(words, subject=subject)
    else:
        error = PermanentError(words, subject=subject)
    error.code = code
    return error
