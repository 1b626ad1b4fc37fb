"""Fingerprints, filters, permissions and the business calendar: small, pure, and relied on everywhere."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from sync import commands, permissions, sla
from sync.exception_filter import ExceptionFilter
from sync.fingerprint import fingerprint


def test_a_fingerprint_is_made_of_the_cause_and_its_place() -> None:
    """The same cause at the same place is one group; another field, entity or connection is another."""
    one = fingerprint("bad_amount", "erp", "invoice", "gross")
    assert one == fingerprint("bad_amount", "erp", "invoice", "gross")
    others = {
        fingerprint("bad_amount", "erp", "invoice", "tax"),
        fingerprint("bad_amount", "erp", None, "gross"),
        fingerprint("bad_amount", "crm"),
    }
    assert len(others | {one}) == 4


def test_a_filter_survives_its_url() -> None:
    """To a query and back; defaults are left out, unknown parameters and unreadable amounts ignored."""
    query = ExceptionFilter(cause="bad_date", min_money=Decimal("10.50"), text="50%")
    assert ExceptionFilter.from_query(query.to_query()) == query
    assert ExceptionFilter().to_query() == {}
    assert ExceptionFilter.from_query({"min_money": "much", "page": "3"}) == ExceptionFilter()


def test_a_filters_values_are_bound_never_spliced() -> None:
    """What a person types is a parameter, and a percent sign in it means a percent sign."""
    where, bound = ExceptionFilter(text="50%' or 1=1", state="any").where()
    assert "50" not in where
    assert bound["f_text"] == "%50\\%' or 1=1%"


def test_commands_survive_json() -> None:
    """Every command comes back from its payload as it was."""
    command = commands.ReplayExceptions(filter=ExceptionFilter(cause="bad_date"), canary=True)
    assert commands.from_payload(commands.to_payload(command)) == command
    assert commands.from_payload({"kind": "assign", "ids": [1], "owner": "olga"}) == commands.AssignExceptions(ids=(1,), owner="olga")


@pytest.mark.parametrize("role", ["leader", "auditor", "analyst", "nobody"])
def test_who_only_looks_may_not_act(role: str) -> None:
    """Leaders, auditors and analysts replay nothing; unknown roles nothing at all."""
    assert not permissions.allowed({role}, "replay_exceptions")
    with pytest.raises(permissions.Forbidden):
        permissions.require({role}, "resolve_case")


def test_an_operator_may_act() -> None:
    """Operators and admins hold every action of the queue."""
    assert all(permissions.allowed({role}, "replay_exceptions") for role in ("operator", "admin"))


@pytest.mark.parametrize(
    ("start", "hours", "expected"),
    [
        ("2026-03-02T10:00", 2, "2026-03-02T12:00"),
        ("2026-03-02T16:00", 2, "2026-03-03T10:00"),
        ("2026-03-06T16:00", 2, "2026-03-09T10:00"),
        ("2026-03-07T12:00", 8, "2026-03-09T17:00"),
        ("2026-03-02T03:00", 1, "2026-03-02T10:00"),
        ("2026-03-02T09:00", 24, "2026-03-04T17:00"),
    ],
)
def test_due_counts_working_hours(start: str, hours: int, expected: str) -> None:
    """Nights and weekends do not count."""
    moment = datetime.fromisoformat(start).replace(tzinfo=UTC)
    assert sla.after(moment, timedelta(hours=hours)) == datetime.fromisoformat(expected).replace(tzinfo=UTC)


def test_due_is_counted_in_the_zone() -> None:
    """Nine in Berlin is eight in UTC in winter."""
    assert sla.due("critical", datetime(2026, 3, 2, 7, 0, tzinfo=UTC), "Europe/Berlin") == datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
