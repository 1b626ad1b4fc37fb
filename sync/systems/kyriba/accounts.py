"""The tenant's accounts: the whole listing each time, or all their fields in questions of a hundred."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from sync.errors import DataError, TransientError
from sync.ports import Page
from sync.systems.kyriba.client import DETAILS_MAX
from sync.systems.kyriba.listings import ACCOUNTS, Listings, page_of
from sync.systems.kyriba.wire import records_of
from sync.wire_frames import decode


def pull(tenant: Listings, now: datetime) -> Iterator[Page]:
    """Every account as the listing shows it, or with its details where the connection asks for them."""
    return _details(tenant, now) if tenant.settings.account_details else _listing(tenant, now)


def _listing(tenant: Listings, now: datetime) -> Iterator[Page]:
    page = page_of({}, now)
    for part in tenant.parts(ACCOUNTS, {}):
        cursor = {"asked": now.isoformat()} if part.last else None
        yield page(part.answer, f"accounts {part.number}", cursor, complete_until=now if part.last else None)


def _details(tenant: Listings, now: datetime) -> Iterator[Page]:
    codes = sorted(tenant.accounts())
    page = page_of({}, now)
    for start in range(0, len(codes), DETAILS_MAX):
        asked = codes[start : start + DETAILS_MAX]
        answer = tenant.session.details(asked)
        try:
            came = decode(records_of(answer.body, "results").records).total
        except DataError as error:
            raise TransientError(f"{answer.place}: {error.detail}", connection=tenant.connection.name) from error
        if came < len(asked):
            raise TransientError(f"{answer.place}: details of {came} of {len(asked)} accounts came", connection=tenant.connection.name)
        last = start + DETAILS_MAX >= len(codes)
        cursor = {"asked": now.isoformat()} if last else None
        yield page(answer, f"accounts {asked[0]} to {asked[-1]}", cursor, complete_until=now if last else None)
