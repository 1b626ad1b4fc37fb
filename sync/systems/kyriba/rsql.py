"""Filters in the tenant's query language (RSQL), written so that no value can become a part of the filter. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

_RESERVED = frozenset("\"'();,=!~<> \t\r\n")


def quoted(value: str) -> str:
    """The value as it stands in a filter: as it is where no character of it means something, else in quotes, with those inside escaped."""
    if value and not _RESERVED & set(value) and "\\" not in value:
        return value
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def equal(field: str, value: str) -> str:
    """`field` is `value`. A `*` in it is the tenant's wildcard, for which there is no escape: compare again what comes back."""
    return f"{field}=={quoted(value)}"


def among(field: str, values: Iterable[str]) -> str:
    """`field` is one of `values`."""
    return f"{field}=in=({','.join(quoted(value) for value in values)})"


def since(field: str, moment: datetime) -> str:
    """`field` is `moment` (with its zone) or later, to the second, in UTC."""
    return f"{field}=ge={moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def every(*clauses: str) -> str:
    """All of these filters at once; empty ones are left out, and one with an "or" in it is put in brackets."""
    said = [clause for clause in clauses if clause]
    if len(said) < 2:
        return "".join(said)
    return ";".join(f"({clause})" if "," in clause else clause for clause in said)
