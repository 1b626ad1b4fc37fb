"""What a sender has promised to bring, where one stream takes the files of several: a calendar for each, told apart by file names. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, field_validator

from sync.drops.calendar import Calendar, expected
from sync.ports import Arrived, Expected


class Delivery(Calendar):
    """A calendar for the files whose names fit `pattern`. `label`: what is delivered, in a word, where there are several deliveries.

    `name`: a regular expression on their names whose group `period` says the day of a file (YYYYMMDD); without one a file counts for the
    first day that is still open.
    """

    label: str = ""
    pattern: str = "*"
    name: str | None = None

    @field_validator("name")
    @classmethod
    def _says_the_day(cls, name: str | None) -> str | None:
        try:
            groups = () if name is None else re.compile(name).groupindex
        except re.error as error:
            raise ValueError(f"is no regular expression: {error}") from error
        if name is not None and "period" not in groups:
            raise ValueError("needs the group (?P<period>...), the day that a file's name says")
        return name

    def awaited(self, arrivals: Sequence[Arrived], *, zone: str | None, since: datetime | None, now: datetime) -> list[Expected]:
        """What was due, and the next to come, as `sync.drops.calendar.expected` has it; the subject begins with the label."""
        mine = [each for each in arrivals if fnmatchcase(each.name, self.pattern)]
        found = expected(self, mine, zone=zone, name=self.name, since=since, now=now)
        return [replace(each, subject=f"{self.label} {each.subject}".strip()) for each in found]


def _listed(given: object) -> object:
    return (given,) if isinstance(given, Mapping) else () if given is None else given


Deliveries = Annotated[tuple[Delivery, ...], BeforeValidator(_listed), Field(default=())]


def distinct(deliveries: Sequence[Delivery]) -> Sequence[Delivery]:
    """The deliveries; ValueError where two have the same label, for then nobody could tell which file is missing."""
    labels = [each.label for each in deliveries]
    if len(set(labels)) < len(labels):
        raise ValueError("several deliveries are expected: give each its own label")
    return deliveries


def deliveries(options: Mapping[str, Any]) -> tuple[Delivery, ...]:
    """The deliveries in a connection's options; none where it has none."""
    listed = _listed(options.get("expect"))
    return tuple(Delivery.model_validate(each) for each in listed) if isinstance(listed, list | tuple) else ()
