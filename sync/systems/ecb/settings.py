"""The adapter's own options: where the files lie, which currencies are wanted, what counts as a suspicious move."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from sync.connections import Connection
from sync.options import settings_from

Code = Annotated[str, Field(pattern=r"^[A-Z]{3}$")]


class Settings(BaseModel):
    """What the adapter needs to know beyond the connection.

    `base_url`: the folder of the files, https://www.ecb.europa.eu/stats/eurofxref; without one the rates come from the file that the
    program ships. `currencies`: those wanted, all that the ECB quotes when none is named. `since`: no rate before this day.
    `suspect_above`: a move from one rate to the next by more than this share is flagged. `precedence`: of two sources' rates of one
    day the lower number is used; the shipped rates stand at 100.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    base_url: str | None = None
    daily_file: str = "eurofxref-daily.xml"
    recent_file: str = "eurofxref-hist-90d.xml"
    history_file: str = "eurofxref-hist.zip"
    currencies: tuple[Code, ...] = ()
    since: date | None = None
    suspect_above: Decimal = Field(default=Decimal("0.2"), gt=0)
    precedence: int = Field(default=50, ge=0, le=10_000)


def settings_of(connection: Connection) -> Settings:
    """The settings of a connection; ConfigError names the option that is wrong."""
    return settings_from(Settings, connection, connection.options)
