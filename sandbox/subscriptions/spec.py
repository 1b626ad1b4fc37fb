"""The billing tool's own API description: which paths there are, which parameters they take, which shapes they answer with."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import Any


@cache
def spec() -> dict[str, Any]:
    """The description, OpenAPI 3.0."""
    found: dict[str, Any] = json.loads(resources.files("sandbox.subscriptions").joinpath("openapi.json").read_text(encoding="utf-8"))
    return found


def query_parameters(path: str) -> frozenset[str]:
    """The names of the query parameters that a path takes."""
    return frozenset(one["name"] for one in spec()["paths"][path]["get"].get("parameters", ()) if one["in"] == "query")
