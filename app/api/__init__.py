"""The HTTP API: webhooks in, business-stable lookups out, health and metrics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SERVED: Mapping[str, Any] = {"log_level": "warning", "access_log": False, "timeout_graceful_shutdown": 2}
"""How uvicorn serves the API. No access log: an address may hold a sender's secret."""


def serve(*, host: str, port: int) -> None:
    """Serves the API on `host`:`port` until told to stop."""
    import uvicorn

    from app.api.application import create
    from app.office import open_office

    office = open_office(application="tidegate-api", pool_size=8)
    try:
        uvicorn.run(create(office), host=host, port=port, **SERVED)
    finally:
        office.database.close()
