"""Customers as flat IDocs (DEBMAS): a control record of 524 positions, data records of 1063, a line each."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sandbox.world.model import Customer

_CONTROL = {
    "TABNAM": 10, "MANDT": 3, "DOCNUM": 16, "DOCREL": 4, "STATUS": 2, "DIRECT": 1, "OUTMOD": 1, "EXPRSS": 1, "TEST": 1, "IDOCTYP": 30,
    "CIMTYP": 30, "MESTYP": 30, "MESCOD": 3, "MESFCT": 3, "STD": 1, "STDVRS": 6, "STDMES": 6, "SNDPOR": 10, "SNDPRT": 2, "SNDPFC": 2,
    "SNDPRN": 10, "SNDSAD": 21, "SNDLAD": 70, "RCVPOR": 10, "RCVPRT": 2, "RCVPFC": 2, "RCVPRN": 10, "RCVSAD": 21, "RCVLAD": 70,
    "CREDAT": 8, "CRETIM": 6, "REFINT": 14, "REFGRP": 14, "REFMES": 14, "ARCKEY": 70, "SERIAL": 20,
}  # fmt: skip
_HEAD = {"SEGNAM": 30, "MANDT": 3, "DOCNUM": 16, "SEGNUM": 6, "PSGNUM": 6, "HLEVEL": 2}
_CONTENT = 1000
_SEGMENTS = {
    "E2KNA1M005": {
        "MSGFN": 3, "KUNNR": 10, "ANRED": 15, "AUFSD": 2, "BAHNE": 25, "BAHNS": 25, "BBBNR": 7, "BBSNR": 5, "BEGRU": 4, "BRSCH": 4,
        "BUBKZ": 1, "DATLT": 14, "FAKSD": 2, "FISKN": 10, "KNRZA": 10, "KONZS": 10, "KTOKD": 4, "KUKLA": 2, "LAND1": 3, "LIFNR": 10,
        "LIFSD": 2, "LOCCO": 10, "LOEVM": 1, "NAME1": 35,
    },
    "E2KNVVM007": {"MSGFN": 3, "VKORG": 4, "VTWEG": 2, "SPART": 2},
    "E2KNB1M008": {
        "MSGFN": 3, "BUKRS": 4, "SPERR": 1, "LOEVM": 1, "ZUAWA": 3, "BUSAB": 2, "AKONT": 10, "BEGRU": 4, "KNRZE": 10, "KNRZB": 10,
        "ZAMIM": 1, "ZAMIV": 1, "ZAMIR": 1, "ZAMIB": 1, "ZAMIO": 1, "ZWELS": 10, "XVERR": 1, "ZAHLS": 1, "ZTERM": 4,
    },
}  # fmt: skip
_CLIENT = "400"


def debmas(customer: Customer, number: int, made: datetime) -> str:
    """One customer as an IDoc with this number; `made` in the ERP's own zone."""
    docnum = f"{number:016d}"
    control = {
        "TABNAM": "EDI_DC40", "MANDT": _CLIENT, "DOCNUM": docnum, "DOCREL": "740", "STATUS": "30", "DIRECT": "1", "OUTMOD": "2",
        "IDOCTYP": "DEBMAS06", "MESTYP": "DEBMAS", "SNDPOR": "SAPLAT", "SNDPRT": "LS", "SNDPRN": "LATAM400", "RCVPOR": "A000000012",
        "RCVPRT": "LS", "RCVPRN": "TREASURY", "CREDAT": f"{made:%Y%m%d}", "CRETIM": f"{made:%H%M%S}", "SERIAL": f"{made:%Y%m%d%H%M%S}",
    }  # fmt: skip
    blocked = "01" if customer.credit_blocked else ""
    segments: list[tuple[str, int, dict[str, str]]] = [
        ("E2KNA1M005", 0, {"MSGFN": "004", "KUNNR": customer.number, "AUFSD": blocked, "KTOKD": "0001", "LAND1": customer.country,
                           "NAME1": customer.name[:35]}),
        ("E2KNVVM007", 1, {"MSGFN": "004", "VKORG": customer.entity, "VTWEG": "10", "SPART": "00"}),
        ("E2KNB1M008", 1, {"MSGFN": "004", "BUKRS": customer.entity, "AKONT": "0000140000", "ZTERM": f"N{customer.terms:03d}"}),
    ]  # fmt: skip
    lines = [_placed(_CONTROL, control)]
    for place, (name, parent, fields) in enumerate(segments, start=1):
        head = {"SEGNAM": name, "MANDT": _CLIENT, "DOCNUM": docnum, "SEGNUM": f"{place:06d}", "PSGNUM": f"{parent:06d}",
                "HLEVEL": "02" if parent else "01"}  # fmt: skip
        lines.append(_placed(_HEAD, head) + _placed(_SEGMENTS[name], fields).ljust(_CONTENT))
    return "".join(f"{line}\r\n" for line in lines)


def _placed(layout: Mapping[str, int], fields: Mapping[str, str]) -> str:
    return "".join(fields.get(name, "").ljust(width)[:width] for name, width in layout.items())
