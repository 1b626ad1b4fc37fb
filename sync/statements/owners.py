"""Whose accounts the statements are about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self
from zoneinfo import ZoneInfo

from sync.connections import Connection, Landscape, LegalEntity


@dataclass(frozen=True, slots=True)
class Owners:
    """Whose accounts these are. `accounts`: account id -> legal entity code, as configured; `entities`: those the connection
    speaks for; `zone`: for stamps that name none.
    """

    connection: str
    region: str
    accounts: Mapping[str, str]
    entities: Sequence[LegalEntity]
    zone: str | None

    @classmethod
    def of(cls, connection: Connection, landscape: Landscape) -> Self:
        """The owners as `connection` names them: option `accounts`, its legal entities, its zone."""
        entities = [entity for entity in landscape.legal_entities if entity.code in connection.legal_entities]
        return cls(connection.name, connection.region, dict(connection.options.get("accounts", {})), entities, connection.zone)

    def entity(self, account: str, currency: str | None) -> LegalEntity | None:
        """The configured owner of `account`; else the connection's only entity, or its only one of that currency."""
        code = self.accounts.get(account)
        if code is not None:
            return next((entity for entity in self.entities if entity.code == code), None)
        fitting = self.entities if len(self.entities) == 1 else [one for one in self.entities if one.currency == currency]
        return fitting[0] if len(fitting) == 1 else None

    def zone_of(self, account: str, currency: str | None) -> ZoneInfo | None:
        """The zone of the connection, of the account's owner, or the one that all its entities share; None where nobody names one."""
        owner = self.entity(account, currency)
        named = {self.zone} if self.zone else {owner.zone} if owner else {entity.zone for entity in self.entities}
        return ZoneInfo(str(named.pop())) if len(named) == 1 else None
