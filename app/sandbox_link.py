"""How the connections file learns where the sandbox stands: its manifest becomes environment names that the file refers to."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

_NAMES = {"base_url": "URL"}


def sandbox_home(home: Path) -> Path:
    """Where the sandbox keeps its state, below TIDEGATE_HOME."""
    return home / "sandbox"


def manifest(home: Path) -> Mapping[str, object] | None:
    """What the sandbox says of itself (addresses, test credentials, drop folders); None when it never ran here."""
    place = sandbox_home(home) / "manifest.json"
    if not place.is_file():
        return None
    found: Mapping[str, object] = json.loads(place.read_text(encoding="utf-8"))
    return found


def environment(found: Mapping[str, object]) -> dict[str, str]:
    """SANDBOX_<SYSTEM>_<FIELD> for every field of every system: `sap-emea`'s `base_url` is SANDBOX_SAP_EMEA_URL."""
    systems = found.get("systems")
    if not isinstance(systems, Mapping):
        return {}
    return {
        f"SANDBOX_{name}_{_NAMES.get(field, field)}".upper().replace("-", "_"): str(value)
        for name, fields in systems.items()
        for field, value in fields.items()
    }


def adopt(home: Path) -> None:
    """Puts the sandbox's addresses into this process's environment; what is set there already wins."""
    found = manifest(home)
    if found is not None:
        for name, value in environment(found).items():
            os.environ.setdefault(name, value)
