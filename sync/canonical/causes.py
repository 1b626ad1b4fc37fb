"""Why a record, a file or a write can't pass: the closed list of causes, with words for a person.

An exception's fingerprint is made of its cause, connection, entity and field, never of message text, so that ten thousand records
that fail alike are one group.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["critical", "high", "medium", "low"]


@dataclass(frozen=True, slots=True)
class Cause:
    """`title` for the queue, `hint` says what to do, `severity` how soon."""

    slug: str
    title: str
    hint: str
    severity: Severity = "medium"


CAUSES: dict[str, Cause] = {
    cause.slug: cause
    for cause in (
        Cause("missing_field", "A required field is empty", "Complete the record in the source, then replay."),
        Cause("bad_amount", "An amount can't be read exactly", "Correct the amount in the source, or edit it here, then replay.", "high"),
        Cause("bad_currency", "The currency is not an ISO 4217 code, or the amount has too many decimals for it",
              "Correct the currency in the source, or edit it here, then replay.", "high"),
        Cause("bad_date", "A date does not exist or can't be read", "Correct the date in the source, then replay."),
        Cause("bad_time", "A time names no zone, or falls into a clock change",
              "Name the connection's zone in its settings, or correct the record, then replay."),
        Cause("bad_value", "A field holds a value outside its contract", "Correct the value in the source, or extend the mapping, then replay."),
        Cause("malformed_record", "The record can't be parsed", "Look at its bytes; correct it in the source, then replay.", "high"),
        Cause("unknown_customer", "The customer is not known", "Create or link the customer, then replay the group.", "high"),
        Cause("ambiguous_identity", "More than one customer fits", "Choose the right customer, then replay.", "high"),
        Cause("schema_drift", "The source changed a field that we need", "Adjust the mapping or the source, then replay.", "critical"),
        Cause("many_gone", "The source no longer shows many of its records",
              "Check that our user may still see all of them; if they are rightly gone, raise the share that may go at once.", "critical"),
        Cause("control_total", "The file's control totals don't agree", "Ask the sender for a corrected file; the old one stays as evidence.",
              "critical"),
        Cause("file_unreadable", "The file can't be read as what it should be", "Ask the sender for a correct file.", "critical"),
        Cause("file_conflict", "A file came again with other content", "Confirm which of the two is right.", "critical"),
        Cause("file_late", "A file has not come by its cut-off", "It closes by itself when the file comes; call the sender if it lasts.", "high"),
        Cause("file_missing", "A file is missing", "Ask the sender for it; it closes by itself when the file comes.", "critical"),
        Cause("balance_mismatch", "The statement does not balance", "Ask the bank for a complete statement.", "critical"),
        Cause("balance_chain", "The opening balance does not follow the last closing balance", "Look for a missing statement.", "high"),
        Cause("event_unreadable", "A webhook of a known sender can't be read",
              "Nothing is lost: its streams were asked for what changed. Look at its bytes, correct the sender, then replay.", "medium"),
        Cause("source_auth", "The system refuses our credentials", "Renew the credentials and test the connection.", "critical"),
        Cause("source_identity", "The server is not the one we know",
              "Ask its administrator, on another way, whether its key was changed; only then enter the new one and resume.", "critical"),
        Cause("source_permanent", "The system refuses our request", "Look at the error; test the connection.", "high"),
        Cause("source_down", "The system does not answer", "It is retried by itself; call the owner if it lasts.", "high"),
        Cause("effect_failed", "A write to another system was refused", "Look at the answer; correct the cause, then replay.", "critical"),
        Cause("effect_undelivered", "A write could not be delivered: the other system does not answer",
              "It did not happen; replay once the system is back.", "critical"),
        Cause("effect_unknown", "A write may or may not have happened", "The target is read before any retry; replay does that now.", "critical"),
        Cause("effect_conflict", "The record changed in the target since the decision", "Replay: it is read and decided again.", "high"),
        Cause("rule_failed", "A rule could not be evaluated", "Look at its inputs, then replay the event.", "high"),
    )
}  # fmt: skip
