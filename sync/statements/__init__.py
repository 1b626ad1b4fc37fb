"""Bank statements in canonical words: pure, whatever brought the bytes, and whatever format they are in, which is told by their content.

A caller that keeps the chain asks `read` once and then the reading for both; `mapped` and `followed` are the two for single use.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sync.ports import Mapped
from sync.statements.formats import has_end
from sync.statements.lines import encoding_of
from sync.statements.owners import Owners
from sync.statements.reading import Reading, read
from sync.statements.schema import Schemas
from sync.statements.verdicts import Chain

__all__ = ["Chain", "Owners", "Reading", "Schemas", "encoding_of", "followed", "has_end", "mapped", "read"]


def mapped(body: bytes, owners: Owners, chain: Chain, *, received: datetime | None = None, schemas: Schemas | None = None) -> Mapped:
    """The file in canonical words; `chain` is the closing balance that each account's next statement has to follow. Raises as `read`."""
    return read(body, owners, received=received, schemas=schemas).mapped(chain)


def followed(chain: Chain, body: bytes, owners: Owners | None = None) -> Mapping[str, Mapping[str, str]]:
    """The chain after the statements of `body`; a file that is refused moves nothing, and what is wrong is said when it is mapped."""
    try:
        reading = read(body, owners or Owners("", "", {}, [], "UTC"))
    except Exception:
        return dict(chain)
    return reading.followed(chain)
