"""Warnings of libraries about each other that nobody who runs Tidegate can act on, each named with its reason; all others are shown."""

from __future__ import annotations

import warnings


def silence_authlib() -> None:
    """Authlib, as locked, warns that its `jose` and its use of `httpx` go with version 2. Who imports them is `oidc-provider-mock` (the
    local personas) and Streamlit's sign-in, not we; uv.lock keeps the version that has both.

    Called before either is imported, since Authlib puts its own filter in front of earlier ones.
    """
    from authlib.deprecate import AuthlibDeprecationWarning

    for message in (r"authlib\.jose module is deprecated", "The httpx module is deprecated"):
        warnings.filterwarnings("ignore", message=message, category=AuthlibDeprecationWarning)
