"""The options of a connection that brings bank files."""

from __future__ import annotations

from typing import Any

from pydantic import Field, field_validator, model_validator

from sync.drops.deliveries import Deliveries, Delivery, distinct
from sync.drops.options import DropOptions


class Settings(DropOptions):
    """Where the bank drops its files and what is known of them. `folder` is short for one of `folders`."""

    folder: str | None = None
    pattern: str = "*"
    """Which files; what they hold is told by their content, not by their names."""
    accounts: dict[str, str] = Field(default_factory=dict)
    """Account id (IBAN, or the bank's other id) -> legal entity."""
    settle_seconds: float = Field(default=5, ge=0)
    """How long a file without its end, or of a format that has none, must have rested before it is taken."""
    done_suffix: str | None = None
    """A marker that the sender writes last: `x.sta` is complete once `x.sta.done` is there."""
    sequence_numbers: bool = True
    """Whether a gap in the statements' numbers is told; false for a bank that does not count by account."""
    expect: Deliveries
    """When the bank's files are due: one delivery, or several."""
    xsd_folder: str | None = None
    """Where the ISO 20022 schemas lie, `camt.053.001.08.xsd` and so on."""
    webhook: dict[str, Any] | None = None
    takes: tuple[str, ...] | None = None
    require_customer: bool | None = None

    @field_validator("expect")
    @classmethod
    def _told_apart(cls, expect: tuple[Delivery, ...]) -> tuple[Delivery, ...]:
        return tuple(distinct(expect))

    @model_validator(mode="before")
    @classmethod
    def _one_folder(cls, given: Any) -> Any:
        if isinstance(given, dict) and given.get("folder"):
            rest = given.get("folders") or ()
            return {**given, "folders": (str(given["folder"]), *((rest,) if isinstance(rest, str) else rest))}
        return given
