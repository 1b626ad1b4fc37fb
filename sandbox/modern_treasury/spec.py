"""The part of Modern Treasury's public API description that this stand-in answers by: which paths, which parameters, which shapes.

`extract` takes it out of the whole description; `openapi.json` is what it took, so that a clone without that file is held to it too.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources
from typing import Any

PATHS: dict[str, tuple[str, ...]] = {
    "/api/ping": ("get",),
    "/api/internal_accounts": ("get",),
    "/api/internal_accounts/{id}": ("get",),
    "/api/internal_accounts/{internal_account_id}/balance_reports": ("get",),
    "/api/transactions": ("get",),
    "/api/transactions/{id}": ("get",),
    "/api/expected_payments": ("get", "post"),
    "/api/expected_payments/{id}": ("get", "patch", "delete"),
    "/api/payment_orders": ("get",),
    "/api/payment_orders/{id}": ("get",),
    "/api/incoming_payment_details": ("get",),
    "/api/incoming_payment_details/{id}": ("get",),
    "/api/events": ("get",),
}
"""Path -> the methods of it that are served."""


def extract(whole: Mapping[str, Any]) -> dict[str, Any]:
    """What of the whole description concerns PATHS, with every shape that these refer to."""
    paths = {
        path: {name: part for name, part in whole["paths"][path].items() if name in (*methods, "parameters")}
        for path, methods in PATHS.items()
    }
    components: dict[str, dict[str, Any]] = {"securitySchemes": whole["components"]["securitySchemes"], "parameters": {}, "schemas": {}}
    waiting = list(references(paths))
    while waiting:
        kind, name = waiting.pop()
        if name not in components[kind]:
            components[kind][name] = whole["components"][kind][name]
            waiting += references(components[kind][name])
    kept = {kind: dict(sorted(members.items())) for kind, members in components.items()}
    return {"openapi": whole["openapi"], "info": whole["info"], "paths": paths, "components": kept}


def references(part: Any) -> Iterator[tuple[str, str]]:
    """The (kind, name) of every component that a part refers to."""
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            _, _, kind, name = part["$ref"].split("/")
            yield kind, name
        for value in part.values():
            yield from references(value)
    elif isinstance(part, list):
        for value in part:
            yield from references(value)


@cache
def spec() -> dict[str, Any]:
    """The extract that came with this program."""
    found: dict[str, Any] = json.loads(resources.files("sandbox.modern_treasury").joinpath("openapi.json").read_text(encoding="utf-8"))
    return found


def query_parameters(path: str, method: str = "get") -> frozenset[str]:
    """The names of the query parameters that a path takes; `metadata` and `id[]` as they are named there."""
    named = [*spec()["paths"][path].get("parameters", ()), *spec()["paths"][path][method].get("parameters", ())]
    whole = [spec()["components"]["parameters"][one["$ref"].rpartition("/")[2]] if "$ref" in one else one for one in named]
    return frozenset(one["name"] for one in whole if one["in"] == "query")
