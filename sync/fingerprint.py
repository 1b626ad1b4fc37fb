"""The fingerprint of an exception: what failed alike is one group, whatever the words of its message. Pure."""

from __future__ import annotations

import hashlib

VERSION = 1
"""Goes up when the recipe changes; an exception keeps the version under which it was grouped."""


def fingerprint(cause: str, connection: str, entity: str | None = None, field: str | None = None) -> str:
    """Sixteen hexadecimal digits over version, cause, connection, entity and field: short enough for a URL."""
    parts = "|".join((str(VERSION), cause, connection, entity or "", field or ""))
    return hashlib.sha256(parts.encode()).hexdigest()[:16]
