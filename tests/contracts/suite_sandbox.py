"""The sandbox as the adapters' other side: its systems as connections, its fault dial, and its own log of what was written."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from sandbox import Running
from sync.connections import Connection, Landscape, LegalEntity

LANDSCAPE = Landscape(
    legal_entities=tuple(
        LegalEntity(code=code, name=code, region=region, currency=currency, company_code=company, zone=zone)
        for code, region, currency, company, zone in (
            ("DE01", "EMEA", "EUR", "1010", "Europe/Berlin"),
            ("GB01", "EMEA", "GBP", "1020", "Europe/London"),
            ("US01", "NA", "USD", "1710", "America/New_York"),
            ("JP01", "APAC", "JPY", "2910", "Asia/Tokyo"),
            ("SG01", "APAC", "SGD", "2920", "Asia/Singapore"),
            ("MX01", "LATAM", "MXN", None, "America/Mexico_City"),
        )
    )
)


class Dial:
    """The sandbox's control port."""

    def __init__(self, box: Running) -> None:
        self._http = httpx.Client(base_url=f"{box.control}/control", timeout=5, trust_env=False)

    def fault(self, system: str, kind: str, **how: Any) -> None:
        """Sets a fault."""
        self._http.post("faults", json={"system": system, "kind": kind, **how}).raise_for_status()

    def clear(self) -> None:
        """Takes every fault away."""
        self._http.delete("faults").raise_for_status()

    def act(self, do: str, **how: Any) -> Any:
        """Makes something happen in the world."""
        return self._http.post("act", json={"do": do, **how}).raise_for_status().json()

    def advance(self, **by: float) -> None:
        """Lives through that much of world time now."""
        self._http.post("advance", json=by).raise_for_status()

    def state(self) -> Any:
        """The world's counts; asking lets the dial do what it was told."""
        return self._http.get("state").raise_for_status().json()

    def writes(self, system: str) -> list[dict[str, Any]]:
        """Every write that other companies' systems executed for us there."""
        found: list[dict[str, Any]] = self._http.get("log", params={"system": system}).raise_for_status().json()["writes"]
        return found

    def close(self) -> None:
        """Ends the connection."""
        self._http.close()


def connection_to(box: Running, name: str, system: str, monkeypatch: pytest.MonkeyPatch, *secrets: str, **options: Any) -> Connection:
    """The sandbox's system `name` as a connection; its credentials go into the environment for the test."""
    told = box.system(name)
    references = {}
    for secret in secrets:
        variable = f"SANDBOX_TEST_{name}_{secret}".upper().replace("-", "_")
        monkeypatch.setenv(variable, told[secret])
        references[secret] = f"env:{variable}"
    addresses = {key: value for key, value in told.items() if key not in secrets}
    return Connection(
        name=name, system=system, region="EMEA", allow_private_addresses=True, options={**addresses, **options}, secrets=references
    )  # fmt: skip
