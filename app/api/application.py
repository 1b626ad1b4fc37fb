"""The API's contents page: every route, and how failures are said."""

from __future__ import annotations

import structlog
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from app.api import health, lookups, webhooks
from app.office import Office

_LOG = structlog.get_logger(__name__)


def create(office: Office) -> FastAPI:
    """The application over an open office."""
    application = FastAPI(
        title="Tidegate",
        version="1",
        summary="Where the money is: stable lookups by business number, webhooks in, health and metrics.",
        redirect_slashes=False,  # a sender follows no redirect, and its address would be made of what it says its host is
        openapi_tags=[
            {"name": "lookups", "description": "Read with a bearer token of the right scope; rows of other regions do not exist for it."},
            {"name": "webhooks", "description": "Signed hints from other systems."},
            {"name": "operations", "description": "For load balancers and Prometheus."},
        ],
    )
    application.state.office = office
    for part in (health, webhooks, lookups):
        application.include_router(part.router)

    @application.exception_handler(Exception)
    async def _calm(request: Request, error: Exception) -> JSONResponse:
        _LOG.error("api request failed", path=request.scope["path"], error=repr(error))
        return JSONResponse(status_code=500, content={"detail": "Tidegate could not answer this; the cause is in its log."})

    return application
