"""Payment transfers and how far each has come: the whole listing of their status each time."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import datetime

from sync.ports import Cursor, Page
from sync.systems.kyriba.listings import Listings, page_of

PATH = "v1/payment/transfers/status"


def pull(tenant: Listings, cursor: Cursor | None, now: datetime) -> Iterator[Page]:
    """Every transfer that the filter leaves, whatever its status: a status carries no stamp to ask by.

    A page that is the same as last time is passed over, but for the last, which carries the cursor. Once another page has been given,
    nothing may be passed over any more until a reading has come to its end: the world may go back to what it was.
    """
    page = page_of(tenant.companies(), now)
    known = set((cursor or {}).get("seen") or ())
    seen: list[str] = []
    question = tenant.settings.transfers_filter
    for part in tenant.parts(PATH, {"filter": question} if question else {}):
        seen.append(hashlib.sha256(part.answer.body).hexdigest()[:24])
        if part.last:
            moved = {"asked": now.isoformat(), "seen": seen}
            yield page(part.answer, f"transfers {part.number}", moved, complete_until=now)
        elif seen[-1] not in known:
            yield page(part.answer, f"transfers {part.number}", {**(cursor or {}), "seen": []} if known else None)
