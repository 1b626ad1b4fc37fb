"""Where a declared column stands in an IDoc: `E1EDK01.BELNR`, `E1EDKA1[PARVW=RE].PARTN`; and the lengths of a flat one's records. Pure.

A path names a segment, wherever in the IDoc it stands, with the values that its qualifiers must have, and a field of it. Steps joined by
`/` go down: `E1EDP01[POSEX=000010]/E1EDP26[QUALF=003].BETRG`. The first segment that fits and has the field counts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

CONTROL = "EDI_DC40"
CONTROL_FIELDS = {
    "TABNAM": 10, "MANDT": 3, "DOCNUM": 16, "DOCREL": 4, "STATUS": 2, "DIRECT": 1, "OUTMOD": 1, "EXPRSS": 1, "TEST": 1, "IDOCTYP": 30,
    "CIMTYP": 30, "MESTYP": 30, "MESCOD": 3, "MESFCT": 3, "STD": 1, "STDVRS": 6, "STDMES": 6, "SNDPOR": 10, "SNDPRT": 2, "SNDPFC": 2,
    "SNDPRN": 10, "SNDSAD": 21, "SNDLAD": 70, "RCVPOR": 10, "RCVPRT": 2, "RCVPFC": 2, "RCVPRN": 10, "RCVSAD": 21, "RCVLAD": 70,
    "CREDAT": 8, "CRETIM": 6, "REFINT": 14, "REFGRP": 14, "REFMES": 14, "ARCKEY": 70, "SERIAL": 20,
}  # fmt: skip
"""The control record's fields with their widths, in their order: 524 positions."""

DATA_FIELDS = {"SEGNAM": 30, "MANDT": 3, "DOCNUM": 16, "SEGNUM": 6, "PSGNUM": 6, "HLEVEL": 2}
"""What stands before a data record's 1000 positions of content (SDATA)."""

CONTROL_LENGTH = sum(CONTROL_FIELDS.values())
HEAD_LENGTH = sum(DATA_FIELDS.values())
CONTENT_LENGTH = 1000
_STEP = re.compile(r"([A-Z0-9_]+)(?:\[([^\]]*)\])?")
_TEST = re.compile(r"\s*([A-Z0-9_]+)\s*=\s*(.*?)\s*")


@dataclass(frozen=True, slots=True)
class Step:
    """A segment's name and what its fields must be."""

    name: str
    tests: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Path:
    """Steps down to a segment, and a field of it."""

    steps: tuple[Step, ...]
    field: str


@cache
def parse(text: str) -> Path:
    """The path that `text` says. Raises ValueError in words."""
    steps, dot, name = text.rpartition(".")
    if not dot or not re.fullmatch(r"[A-Z0-9_]+", name):
        raise ValueError(f"column {text!r} is no path such as E1EDK01.BELNR or E1EDKA1[PARVW=RE].PARTN: name it under `path`")
    found = []
    for step in steps.split("/"):
        match = _STEP.fullmatch(step.strip())
        tests = [_TEST.fullmatch(test) for test in match[2].split(",")] if match and match[2] is not None else []
        if match is None or None in tests:
            raise ValueError(f"column {text!r}: {step!r} is no segment such as E1EDKA1[PARVW=RE]")
        found.append(Step(match[1], tuple((test[1], test[2]) for test in tests if test is not None)))
    return Path(tuple(found), name)
