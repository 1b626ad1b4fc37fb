"""The dashboard's process: Streamlit behind one ASGI server, with its sign-in settings made in memory."""

from __future__ import annotations

import gc
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from app import sign_in
from app.foreign_warnings import silence_authlib
from db.settings import Settings
from sync import connections

LOCAL_ISSUER = "TIDEGATE_LOCAL_ISSUER"
"""Set by `tidegate up`: where the personas' provider stands."""


def auth_secrets(settings: Settings, port: int) -> Mapping[str, Any]:
    """The sign-in settings: the configured provider's, or the local personas' when `tidegate up` runs one; none otherwise."""
    landscape = connections.load(settings.config)
    cookie = sign_in.cookie_secret(settings.home)
    if landscape.sign_in is not None:
        return sign_in.streamlit_secrets(landscape.sign_in, cookie_secret=cookie, local=False)
    issuer = os.environ.get(LOCAL_ISSUER)
    if issuer is None:
        return {}
    local = sign_in.local_provider(issuer, f"http://localhost:{port}/oauth2callback")
    return sign_in.streamlit_secrets(local, cookie_secret=cookie, local=True)


@asynccontextmanager
async def _warm(_app: Any) -> AsyncIterator[None]:
    """Takes the heavy imports before the first visitor does, and keeps them out of every later collection."""
    import pandas  # noqa: F401, ICN001
    import plotly.graph_objects  # noqa: F401
    import polars  # noqa: F401, ICN001

    import app.session  # noqa: F401

    gc.collect()
    gc.freeze()
    yield


def serve(settings: Settings, *, host: str, port: int) -> None:
    """Serves the dashboard on `host`:`port` until told to stop. Raises ConfigError when the sign-in is configured wrongly."""
    silence_authlib()
    import uvicorn
    from streamlit import config
    from streamlit.runtime.pages_manager import PagesManager
    from streamlit.starlette import App

    # Beside a folder named pages/ Streamlit would take its files for scripts and run one of them instead of main.py
    # on the first visit by a deep link; main.py declares the pages itself.
    PagesManager.uses_pages_directory = False
    root = Path(__file__).resolve().parent.parent
    os.chdir(root)
    settings.home.mkdir(parents=True, exist_ok=True)
    secrets = auth_secrets(settings, port)
    application = App(root / "app" / "main.py", secrets=secrets, lifespan=_warm)
    config.set_option("server.port", port)
    config.set_option("server.address", host)
    config.set_option("browser.serverAddress", "localhost")
    config.set_option("browser.serverPort", port)
    uvicorn.run(application, host=host, port=port, log_level="warning", access_log=False, timeout_graceful_shutdown=2)
