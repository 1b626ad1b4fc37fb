"""Connections are configuration: which system, where, for whom, how often; secrets by reference only."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator

from sync.complaints import complaints

Role = Literal["crm", "erp", "treasury", "bank", "rates", "other"]
"""The part that a system plays in the company."""

_PLACEHOLDER = re.compile(r"\$\{([A-Z][A-Z0-9_]*)\}")


class ConfigError(Exception):
    """The connections file is wrong; the message names the file, the entry and what to do."""


def _placeholders(value: Any) -> set[str]:
    if isinstance(value, str):
        return set(_PLACEHOLDER.findall(value))
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return {name for item in items for name in _placeholders(item)}


def read_secret(reference: str, environ: Mapping[str, str] | None = None) -> SecretStr:
    """The secret that `reference` (env:NAME or file:PATH) points at. Raises ConfigError naming the reference only."""
    kind, _, place = reference.partition(":")
    value: str | None = None
    if kind == "env":
        value = (environ if environ is not None else os.environ).get(place)
    elif kind == "file":
        path = Path(place).expanduser()
        value = path.read_text(encoding="utf-8").strip() if path.is_file() else None
    else:
        raise ConfigError("a secret is given by reference only, env:NAME or file:PATH")
    if not value:
        raise ConfigError(f"nothing is at {reference}: set it there, then try again")
    return SecretStr(value)


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LegalEntity(_Entry):
    """A company of ours. `company_code` is its code in the ERPs; `zone` the IANA zone of its business day."""

    code: str
    name: str
    region: str
    currency: str
    company_code: str | None = None
    zone: str = "UTC"


class StreamSettings(_Entry):
    """`every_seconds`: how often it is pulled; `freshness_minutes`: how old its newest data may be."""

    enabled: bool = True
    every_seconds: int = Field(default=60, ge=1)
    freshness_minutes: int = Field(default=60, ge=1)


class Connection(_Entry):
    """One system as we reach it. `options` are the adapter's own settings; `secrets` name where each secret lies:
    `env:NAME` or `file:PATH`, never the secret itself.
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")
    system: str
    region: str
    legal_entities: tuple[str, ...] = ()
    options: dict[str, Any] = Field(default_factory=dict)
    secrets: dict[str, str] = Field(default_factory=dict)
    streams: dict[str, StreamSettings] = Field(default_factory=dict)
    defaults: StreamSettings = StreamSettings()
    criticality: Literal["critical", "important", "informative"] = "important"
    zone: str | None = None
    history: Literal["recorded", "business_dates"] = "recorded"
    daily_call_budget: int | None = None
    allow_private_addresses: bool = False
    owner: str | None = None
    role: Role | None = None
    """The part it plays where its system may play several, as a generic REST source may; None: its system's."""

    @model_validator(mode="after")
    def _secrets_are_references(self) -> Self:
        for name, reference in self.secrets.items():
            if not reference.startswith(("env:", "file:")):
                msg = f"connection {self.name}: secret {name} must be a reference, env:NAME or file:PATH, never the secret itself"
                raise ValueError(msg)
        return self

    def missing(self) -> tuple[str, ...]:
        """The environment names that its options still wait for; a connection with any is declared but not reachable yet."""
        return tuple(sorted(_placeholders(self.options)))

    def stream(self, name: str) -> StreamSettings:
        """The settings of stream `name`, or the connection's defaults."""
        return self.streams.get(name, self.defaults)

    def secret(self, name: str, environ: Mapping[str, str] | None = None) -> SecretStr:
        """The secret `name`, read from where it lies now. Raises ConfigError, naming the reference only, when it is not there."""
        reference = self.secrets.get(name)
        if reference is None:
            raise ConfigError(f"connection {self.name} names no secret {name!r}: add it under [connection.secrets]")
        try:
            return read_secret(reference, environ)
        except ConfigError as error:
            raise ConfigError(f"connection {self.name}: secret {name!r}: {error}") from error


class Policy(_Entry):
    """The exposure policy: shares of the limit, how late a payer may be to be released without a person, how old facts may be."""

    max_utilisation: str = "1.00"
    max_overdue_share: str = "0.30"
    max_median_days_late: int = 30
    expected_cash_days: int = 90
    max_input_age_minutes: int = 1440


class Grant(_Entry):
    """What membership of a group of the identity provider gives: roles, and the regions they hold for (`*`: all)."""

    group: str
    roles: tuple[Literal["leader", "analyst", "operator", "admin", "auditor"], ...]
    regions: tuple[str, ...] = ("*",)


class SignIn(_Entry):
    """The OpenID Connect provider of the dashboard. Without one, `tidegate up` offers local personas on loopback."""

    metadata_url: str
    client_id: str
    client_secret: str
    redirect_url: str
    groups_claim: str = "groups"
    scope: str = "openid profile email"
    session_hours: int = Field(default=8, ge=1, le=24)
    grants: tuple[Grant, ...] = ()


class Landscape(_Entry):
    """Everything the connections file says."""

    sign_in: SignIn | None = None

    reporting_currency: str = "EUR"
    minimum_cash: dict[str, str] = Field(default_factory=dict)
    policy: Policy = Policy()
    legal_entities: tuple[LegalEntity, ...] = ()
    connections: tuple[Connection, ...] = ()

    def connection(self, name: str) -> Connection:
        """The connection called `name`; ConfigError when there is none."""
        for connection in self.connections:
            if connection.name == name:
                return connection
        known = ", ".join(c.name for c in self.connections) or "none"
        raise ConfigError(f"no connection is called {name!r}; the file declares: {known}")

    def legal_entity(self, code: str) -> LegalEntity | None:
        """The legal entity with this code, or None."""
        return next((entity for entity in self.legal_entities if entity.code == code), None)

    def by_company_code(self) -> dict[str, LegalEntity]:
        """ERP company code -> legal entity."""
        return {entity.company_code: entity for entity in self.legal_entities if entity.company_code}


def _expand(value: Any, environ: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return _PLACEHOLDER.sub(lambda match: environ.get(match.group(1), match.group(0)), value)
    if isinstance(value, dict):
        return {key: _expand(item, environ) for key, item in value.items()}
    if isinstance(value, list):
        return [_expand(item, environ) for item in value]
    return value


_TABLES = {"policy": "policy", "sign_in": "sign_in", "legal_entity": "legal_entities", "connection": "connections"}
"""The tables of the file, and the fields that they are."""


def load(path: Path, environ: Mapping[str, str] | None = None) -> Landscape:
    """The landscape of the TOML file at `path`; `${NAME}` in any value is taken from the environment.

    An absent file is an empty landscape. Raises ConfigError with the file's name and the entry that is wrong.
    """
    if not path.is_file():
        return Landscape()
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
        strange = sorted(set(document) - {"tidegate", *_TABLES})
        if strange:
            raise ValueError(f"{strange[0]} is no part of this file; known: tidegate, {', '.join(_TABLES)}")
        given = {**document.get("tidegate", {}), **{field: document[table] for table, field in _TABLES.items() if table in document}}
        return Landscape.model_validate(_expand(given, environ if environ is not None else os.environ))
    except ValidationError as error:
        raise ConfigError(f"{path}: {'; '.join(complaints(error, Landscape, given))}") from error
    except (tomllib.TOMLDecodeError, ValueError) as error:
        raise ConfigError(f"{path}: {error}") from error
