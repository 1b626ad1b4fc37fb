"""The fault dial: what goes wrong, where, how often and for how long."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sandbox.world.reference import S4_HOSTS, SYSTEMS

RECORDS = ("salesforce", *S4_HOSTS, "kyriba", "modern-treasury", "subscriptions")
HTTP = (*RECORDS, "ecb")
FILES = ("bank-emea", "legacy-latam")
SFTP = ("legacy-latam",)
EVENTS = ("salesforce", *S4_HOSTS, "modern-treasury")

KINDS: dict[str, tuple[tuple[str, ...], str]] = {
    "outage": ((*HTTP, *SFTP), "the connection is closed without an answer; how='503' answers 503 instead (HTTP)"),
    "rate_limit": (HTTP, "429; retry_after seconds (7), form 'seconds', 'date' or 'none'"),
    "quota": (("salesforce",), "403 REQUEST_LIMIT_EXCEEDED"),
    "server_error": (HTTP, "500; status and body can be given"),
    "slow": ((*HTTP, *SFTP), "the body drips: chunk bytes (1) every pause seconds (0.5)"),
    "truncated": ((*HTTP, *SFTP), "half the body, then the connection ends; content_length=false hides how much was meant"),
    "html_login": (HTTP, "200 with an HTML login page"),
    "expired_token": (RECORDS, "401, and every token handed out is void; on the next page of a list unless anywhere=true"),
    "csrf_expired": (S4_HOSTS, "403 x-csrf-token: Required on the next write; all tokens are void"),
    "no_batch": (S4_HOSTS, "501 to every $batch"),
    "no_paging": (S4_HOSTS, "a list comes whole, without a count and without a next link"),
    "release_2021": (S4_HOSTS, "sales orders have OverallDeliveryStatus and TotalBlockStatus, and no OverallTotalDeliveryStatus"),
    "no_metadata": (S4_HOSTS, "403 to every $metadata"),
    "duplicate_records": (RECORDS, "a page holds its first record twice"),
    "out_of_order": (RECORDS, "a page's records come in reverse"),
    "repeated_page": (RECORDS, "a page names itself as the next one"),
    "late_commit": (RECORDS, "what changes while this lasts stays unseen, and appears afterwards with its old stamp"),
    "unknown_customer": (RECORDS, "a page's first record names a customer nobody knows"),
    "schema_drift": (RECORDS, "change 'add', 'remove' or 'retype' of field (each entity has a default)"),
    "page_size": (RECORDS, "pages of size records"),
    "drop_response_after_execute": (RECORDS, "a write is executed, the connection closed without an answer"),
    "hidden": (("salesforce",), "an object, or field of it, is not shown to the integration user"),
    "job_failed": (("salesforce",), "a bulk job ends as Failed; state and message can be given"),
    "lock_row": (("salesforce",), "a record write fails with UNABLE_TO_LOCK_ROW"),
    "slow_task": (("kyriba",), "the next process task takes `takes` seconds (60)"),
    "task_ends": (("kyriba",), "the next process task ends as how='Error', 'Cancelled' or 'Warning'"),
    "event_duplicate": (EVENTS, "an event is delivered `copies` times (2) at once; entity is the sender's name"),
    "event_out_of_order": (EVENTS, "an event is held back until a later one has been taken"),
    "event_lost": (EVENTS, "an event is never delivered"),
    "event_forged": (EVENTS, "an event comes with a wrong signature, secret or organization; then again with the right one"),
    "event_gap": (("salesforce",), "the next change event is a GAP_ event, or how='overflow' a GAP_OVERFLOW that names no record"),
    "late_file": (FILES, "files are held back while this lasts"),
    "broken_file": (FILES, "the next file is broken: how 'totals' or 'cut'"),
    "resent_file": (FILES, "the last file comes again at once: how 'same' or 'corrected' (same name, other content)"),
    "other_host_key": (SFTP, "the server shows another key than its own"),
    "login_refused": (SFTP, "the partner's key is not accepted"),
    "read_only": (SFTP, "nothing may be renamed, made or written"),
}


@dataclass
class Fault:
    """One thing that goes wrong. `times` and `until` (steady clock) limit it; neither: until it is taken away."""

    id: int
    system: str
    kind: str
    times: int | None = None
    until: float | None = None
    entity: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    hits: int = 0

    def shown(self, now: float) -> dict[str, Any]:
        """The fault as the control port shows it."""
        left = None if self.until is None else max(0.0, round(self.until - now, 1))
        return {"id": self.id, "system": self.system, "kind": self.kind, "times": self.times, "seconds_left": left,
                "entity": self.entity, "hits": self.hits, **self.options}  # fmt: skip


class Dial:
    """All faults that are set."""

    def __init__(self, steady: Callable[[], float] = time.monotonic) -> None:
        self._steady, self._faults, self._last = steady, dict[int, Fault](), 0

    def set(self, system: str, kind: str, *, times: int | None = None, seconds: float | None = None,
            entity: str | None = None, options: dict[str, Any] | None = None) -> Fault:  # fmt: skip
        """Sets a fault; system '*' means every system it fits. ValueError says what is wrong with the request."""
        if kind not in KINDS:
            raise ValueError(f"unknown kind of fault {kind!r}; known: {', '.join(KINDS)}")
        if system != "*" and system not in SYSTEMS:
            raise ValueError(f"unknown system {system!r}; known: {', '.join(SYSTEMS)}")
        if system != "*" and system not in KINDS[kind][0]:
            raise ValueError(f"{kind} can't be set on {system}; only on {', '.join(KINDS[kind][0])}")
        self._last += 1
        until = None if seconds is None else self._steady() + seconds
        fault = Fault(self._last, system, kind, times, until, entity, dict(options or {}))
        self._faults[fault.id] = fault
        return fault

    def peek(self, system: str, kind: str, entity: str | None = None) -> Fault | None:
        """The fault of a kind that applies now, without using it up."""
        now = self._steady()
        for fault in list(self._faults.values()):
            if fault.until is not None and now >= fault.until:
                self._faults.pop(fault.id, None)  # the file server's threads look too
            elif fault.kind == kind and fault.system in (system, "*") and fault.entity in (None, entity):
                return fault
        return None

    def take(self, system: str, kind: str, entity: str | None = None) -> Fault | None:
        """The fault of a kind that applies now; one of its times is used up."""
        fault = self.peek(system, kind, entity)
        if fault is not None:
            fault.hits += 1
            if fault.times is not None:
                fault.times -= 1
                if fault.times <= 0:
                    self._faults.pop(fault.id, None)
        return fault

    def clear(self, fault_id: int | None = None) -> int:
        """Takes one fault away, or all; returns how many."""
        gone = list(self._faults) if fault_id is None else [i for i in self._faults if i == fault_id]
        for one in gone:
            self._faults.pop(one, None)
        return len(gone)

    def shown(self) -> list[dict[str, Any]]:
        """Every fault that is set, as the control port shows it."""
        now = self._steady()
        return [f.shown(now) for f in self._faults.values() if f.until is None or f.until > now]
