"""Webhooks in: the signature over the raw bytes first, then noted once and answered 202; the pull does the rest."""

from __future__ import annotations

from datetime import UTC, datetime

import structlog
from fastapi import APIRouter, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from prometheus_client import Counter

from app.office import Office
from db.engine import writing
from sync.connections import ConfigError, Connection
from sync.signatures import SignatureRefused, check
from sync.webhooks import MAX_BODY_BYTES, Accepted, accept, live_secrets, scheme_of

router = APIRouter(tags=["webhooks"])
_LOG = structlog.get_logger(__name__)
REFUSED = Counter("tidegate_webhooks_refused_total", "Webhooks whose signature was refused", ("connection",))


@router.post(
    "/webhooks/{connection}",
    status_code=202,
    responses={401: {"description": "The signature was refused; nothing was stored."}, 413: {"description": "More than 1 MB."}},
)
async def receive(connection: str, request: Request) -> dict[str, object]:
    """A signed hint from another system: read again what it is about."""
    office: Office = request.app.state.office
    body = await _bounded_body(request)
    try:
        declared = office.landscape.connection(connection)
    except ConfigError:
        # The same answer as a wrong signature: nobody learns which connections there are.
        raise HTTPException(401, "signature refused") from None
    headers = {name.lower(): value for name, value in request.headers.items()}
    try:
        check(scheme_of(declared), headers, body, live_secrets(declared), now=datetime.now(UTC))
    except SignatureRefused as refusal:
        REFUSED.labels(declared.name).inc()
        _LOG.warning("webhook refused", connection=declared.name, why=str(refusal))
        raise HTTPException(401, "signature refused") from None
    noted = await run_in_threadpool(_note, office, declared, headers, body)
    return {"accepted": True, "event_id": noted.event_id, "duplicate": noted.duplicate}


async def _bounded_body(request: Request) -> bytes:
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > MAX_BODY_BYTES:
            raise HTTPException(413, "a webhook body may have 1 MB at most")
        chunks.append(chunk)
    return b"".join(chunks)


def _note(office: Office, connection: Connection, headers: dict[str, str], body: bytes) -> Accepted:
    with writing(office.database.engine) as conn:
        return accept(conn, connection, headers, body, now=office.clock.now())
