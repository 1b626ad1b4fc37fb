"""The settings of a vendor's adapter: the options of its connection, and what the landscape says of the company that it serves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from sync.connections import ConfigError, Connection, Landscape

Settings = TypeVar("Settings", bound=BaseModel)


def settings_from(model: type[Settings], connection: Connection, options: Mapping[str, Any]) -> Settings:
    """`options` as the settings of the connection's adapter; ConfigError names the connection and every option that is wrong, and holds
    no value of one: an address may carry a secret.
    """
    try:
        return model.model_validate(options)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(str(step) for step in e['loc'])}: {e['msg']}" for e in error.errors(include_input=False))
        raise ConfigError(f"connection {connection.name}, options of {connection.system}: {wrong}") from None


def whereabouts(connection: Connection, landscape: Landscape) -> dict[str, Any]:
    """Where the connection's records belong: its region, its legal entity if it serves one only, and the region of every legal entity."""
    return {
        "region": connection.region,
        "legal_entity": connection.legal_entities[0] if len(connection.legal_entities) == 1 else None,
        "region_by_entity": {entity.code: entity.region for entity in landscape.legal_entities},
    }
