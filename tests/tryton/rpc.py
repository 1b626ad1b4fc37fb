"""A plain JSON-RPC client of the ERP, for seeding it and for changing its world in a test. It shares nothing with the adapter."""

from __future__ import annotations

import base64
from datetime import date
from decimal import Decimal
from typing import Any, Self

import httpx

SECONDS = 120.0


class Refused(Exception):
    """The server's own error, as it gave it."""


class Rpc:
    """Calls as one user of one database."""

    def __init__(self, url: str, database: str, user: str, password: str) -> None:
        self._http = httpx.Client(timeout=SECONDS, trust_env=False)
        self._url = f"{url.rstrip('/')}/{database}/rpc/"
        self._headers: dict[str, str] = {}
        self.context: dict[str, Any] = {}
        number, token, *_ = self.call("common.db.login", user, {"password": password})
        session = base64.b64encode(f"{user}:{number}:{token}".encode()).decode()
        self._headers = {"Authorization": f"Session {session}"}
        self.user = int(number)
        self.look_around()

    def look_around(self) -> None:
        """Takes the user's preferences as the context of what follows."""
        self.context = self.call("model.res.user.get_preferences", True, {})

    def call(self, method: str, *params: Any) -> Any:
        """One call, with Decimals and dates as Python's own on the way out. Raises Refused."""
        answer = self._http.post(self._url, json={"id": 1, "method": method, "params": _out(params)}, headers=self._headers)
        answer.raise_for_status()
        said = answer.json()
        if "error" in said:
            raise Refused(said["error"])
        return said["result"]

    def model(self, method: str, *params: Any, **context: Any) -> Any:
        """A model's method in the user's context."""
        return self.call(f"model.{method}", *params, {**self.context, **context})

    def find(self, model: str, domain: list[Any], field: str = "id") -> Any:
        """The `field` of the first record that fits, None without one."""
        rows = self.model(f"{model}.search_read", domain, 0, 1, [["id", "ASC"]], [field])
        return rows[0][field] if rows else None

    def create(self, model: str, /, **values: Any) -> int:
        """The id of a new record."""
        return int(self.model(f"{model}.create", [values])[0])

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _out(value: Any) -> Any:
    if isinstance(value, Decimal):
        return {"__class__": "Decimal", "decimal": str(value)}
    if isinstance(value, date):
        return {"__class__": "date", "year": value.year, "month": value.month, "day": value.day}
    if isinstance(value, dict):
        return {key: _out(item) for key, item in value.items()}
    return [_out(item) for item in value] if isinstance(value, list | tuple) else value
