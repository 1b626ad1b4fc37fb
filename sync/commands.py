"""Frozen intents: what somebody wants done. Pure data, JSON-able; `sync.submission` files them, `sync.handlers` carries them out."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, TypeAlias

import msgspec

from sync.exception_filter import ExceptionFilter


class Command(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind"):
    """Base of all commands."""

    @property
    def kind(self) -> str:
        """The command's name: what permissions, audit and the dispatch table know it by."""
        return str(self.__struct_config__.tag)


class OverExceptions(Command, frozen=True, kw_only=True):
    """A command over exceptions: those with these ids, or all that the filter selects when it is submitted."""

    ids: tuple[int, ...] = ()
    filter: ExceptionFilter | None = None


class ReplayExceptions(OverExceptions, frozen=True, kw_only=True, tag="replay_exceptions"):
    """Try them again. `canary`: 1, then 5, then 25, then the rest; stops when the same failure comes back."""

    canary: bool = False


class AcknowledgeExceptions(OverExceptions, frozen=True, kw_only=True, tag="acknowledge"):
    """Somebody has seen them."""


class AssignExceptions(OverExceptions, frozen=True, kw_only=True, tag="assign"):
    """They have an owner now."""

    owner: str


class DismissExceptions(OverExceptions, frozen=True, kw_only=True, tag="dismiss"):
    """Out of the way until a moment (UTC); what fails again after it wakes them."""

    until: datetime


class EditAndReplay(Command, frozen=True, kw_only=True, tag="edit_and_replay"):
    """Correct fields that the contract allows (column -> new value as text) and try again; the original stays as it was."""

    id: int
    changes: dict[str, str | None]


class ResolveCase(Command, frozen=True, kw_only=True, tag="resolve_case"):
    """A person's word on what a rule held."""

    case_id: int
    approve: bool


class RequestOrderChange(Command, frozen=True, kw_only=True, tag="request_order_change"):
    """Ask for a change of a sales order that another person has to approve: block it again, or answer its approval request."""

    source: str
    order: str
    change: Literal["block_order", "approve_order", "reject_order"]


class LinkCustomer(Command, frozen=True, kw_only=True, tag="link_customer"):
    """A person confirms which party a customer record is."""

    source: str
    source_key: str
    party_id: int


class OverConnection(Command, frozen=True, kw_only=True):
    """A command to a connection, or to one stream of it."""

    connection: str
    stream: str | None = None


class RunConnectionNow(OverConnection, frozen=True, kw_only=True, tag="run_now"):
    """Pull now."""


class ProveConnection(OverConnection, frozen=True, kw_only=True, tag="test_connection"):
    """Prove address, credentials, permissions and fields; nothing is read in."""


class PauseConnection(OverConnection, frozen=True, kw_only=True, tag="pause"):
    """Pull no more until resumed."""


class ResumeConnection(OverConnection, frozen=True, kw_only=True, tag="resume"):
    """Go on where the cursor stands."""


class BackfillConnection(OverConnection, frozen=True, kw_only=True, tag="backfill"):
    """Read everything again from the beginning; what is known already changes nothing."""


class RefreshNow(Command, frozen=True, kw_only=True, tag="refresh_now"):
    """Bring the figures up to the facts now."""


AnyCommand: TypeAlias = (
    ReplayExceptions
    | AcknowledgeExceptions
    | AssignExceptions
    | DismissExceptions
    | EditAndReplay
    | ResolveCase
    | RequestOrderChange
    | LinkCustomer
    | RunConnectionNow
    | ProveConnection
    | PauseConnection
    | ResumeConnection
    | BackfillConnection
    | RefreshNow
)

NEEDS_REASON = frozenset({"dismiss", "edit_and_replay", "resolve_case", "request_order_change", "link_customer", "pause"})
"""The kinds that are refused without words on why."""


def to_payload(command: AnyCommand) -> dict[str, Any]:
    """The command as JSON, its kind included."""
    document: dict[str, Any] = msgspec.to_builtins(command)
    return document


def from_payload(document: Mapping[str, Any]) -> AnyCommand:
    """The command out of JSON. Raises msgspec.ValidationError, saying which part is wrong."""
    return msgspec.convert(document, AnyCommand, strict=False)  # type: ignore[no-any-return]
