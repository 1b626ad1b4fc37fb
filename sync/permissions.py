"""Which role may do what. Checked where a command is submitted, not only where its button is drawn."""

from __future__ import annotations

from collections.abc import Collection

ACTIONS: dict[str, frozenset[str]] = {
    "leader": frozenset(),
    "auditor": frozenset(),
    "analyst": frozenset({"refresh_now"}),
    "operator": frozenset(
        {
            "replay_exceptions", "edit_and_replay", "acknowledge", "assign", "dismiss", "resolve_case", "request_order_change", "link_customer",
            "run_now", "test_connection", "pause", "resume", "backfill", "refresh_now",
        }
    ),
    "admin": frozenset(
        {
            "replay_exceptions", "edit_and_replay", "acknowledge", "assign", "dismiss", "resolve_case", "request_order_change", "link_customer",
            "run_now", "test_connection", "pause", "resume", "backfill", "refresh_now",
        }
    ),
}  # fmt: skip
"""Role -> the kinds of command (see `sync.commands`) that it may submit. Leaders and auditors only look."""


class Forbidden(Exception):
    """The person's roles or regions do not cover the action; nothing was done."""


def allowed(roles: Collection[str], action: str) -> bool:
    """Whether any of `roles` may submit commands of kind `action`. Unknown roles and actions are refused."""
    return any(action in ACTIONS.get(role, frozenset()) for role in roles)


def require(roles: Collection[str], action: str) -> None:
    """Raises Forbidden, naming the action and the roles, unless `allowed`."""
    if not allowed(roles, action):
        held = ", ".join(sorted(roles)) or "none"
        raise Forbidden(f"the action {action!r} needs another role than yours ({held}): ask an operator")
