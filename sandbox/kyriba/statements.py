"""The statements that process templates export: the closed days of accounts whose banks leave no file in the drop folder.

A day's file is the same whenever it is exported, down to the last byte.
"""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from decimal import Decimal

from sandbox.kyriba.bai2 import Day, render_bai2
from sandbox.world.camt import render_statement
from sandbox.world.engine import World, at_hour
from sandbox.world.model import BankLine
from sandbox.world.mt940 import mt_amount, mt_balance
from sandbox.world.reference import BANK_ACCOUNTS, LEGAL_ENTITIES, BankAccount

CAMT, MT940, BAI2 = "E_BK_CAMT053", "E_BK_MT940", "E_BK_BAI2"
TEMPLATES = {CAMT: ("JP01", "SG01"), MT940: ("MX01",), BAI2: ("US01",)}
"""Template -> the legal entities whose accounts it exports."""
DAYS = 10
"""So many days back does an export look."""
_STATEMENT = re.compile(rb"<Stmt>.*</Stmt>", re.DOTALL)


def export(world: World, template: str) -> list[tuple[str, bytes]]:
    """Name and content of each closed day's file, oldest first."""
    accounts = [a for a in BANK_ACCOUNTS.values() if a.entity in TEMPLATES[template] and a.camt is None]
    today = world.now.date()
    days = [today - timedelta(days=n) for n in range(DAYS, 0, -1)]
    closed = [d for d in days if d.weekday() < 5 and all(d in world.closings[a.code] for a in accounts)]
    write = {CAMT: _camt, MT940: _mt940, BAI2: _bai2}[template]
    return [write(world, accounts, day) for day in closed]


def _day_before(day: date) -> date:
    return day - timedelta(days=3 if day.weekday() == 0 else 1)


def _opening(world: World, account: BankAccount, day: date) -> Decimal:
    return world.closings[account.code].get(day - timedelta(days=1), account.opening)


def _lines(world: World, account: BankAccount, day: date) -> list[BankLine]:
    found: list[BankLine] = []
    for line in reversed(world.bank_lines[account.code]):
        if line.booked < day:
            break
        if line.booked == day:
            found.append(line)
    return found[::-1]


def _number(day: date) -> int:
    """The statement's number: one more on every business day."""
    weeks, rest = divmod((day - date(2020, 1, 6)).days, 7)
    return weeks * 5 + min(rest, 4) + 1


def _made_at(day: date) -> datetime:
    return at_hour(day + timedelta(days=1), 2)


def _camt(world: World, accounts: list[BankAccount], day: date) -> tuple[str, bytes]:
    """All accounts' statements of a day in one camt.053.001.04 document."""
    statements = []
    for account in accounts:
        document = render_statement(
            account, LEGAL_ENTITIES[account.entity].name, _number(day), day, opening=_opening(world, account, day),
            closing=world.closings[account.code][day], lines=_lines(world, account, day), made_at=_made_at(day), version="04",
        )  # fmt: skip
        match = _STATEMENT.search(document)
        statements.append(match[0] if match else b"")
    head = (
        '<?xml version="1.0" encoding="UTF-8"?>\n<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.04"><BkToCstmrStmt>'
        f"<GrpHdr><MsgId>KYRIBA-{day:%Y%m%d}</MsgId><CreDtTm>{_made_at(day):%Y-%m-%dT%H:%M:%S}Z</CreDtTm></GrpHdr>"
    ).encode()
    return f"camt053_{day:%Y%m%d}.xml", head + b"".join(statements) + b"</BkToCstmrStmt></Document>\n"


def _mt940(world: World, accounts: list[BankAccount], day: date) -> tuple[str, bytes]:
    """All accounts' statements of a day in one MT940 file."""
    return f"mt940_{day:%Y%m%d}.sta", "".join(_message(world, account, day) for account in accounts).encode("ascii", "replace")


def _bai2(world: World, accounts: list[BankAccount], day: date) -> tuple[str, bytes]:
    """All accounts' statements of a day in one BAI2 file."""
    closings = world.closings
    days = [Day(each, _opening(world, each, day), closings[each.code][day], _lines(world, each, day)) for each in accounts]
    return f"bai2_{day:%Y%m%d}.txt", render_bai2(days, _number(day), day, made_at=_made_at(day))


def _message(world: World, account: BankAccount, day: date) -> str:
    lines = "".join(_line(line, account.currency) for line in _lines(world, account, day))
    return (
        f":20:{account.code}{day:%y%m%d}\r\n:25:{account.number}\r\n:28C:{_number(day)}/1\r\n"
        f":60F:{mt_balance(_opening(world, account, day), account.currency, _day_before(day))}\r\n{lines}"
        f":62F:{mt_balance(world.closings[account.code][day], account.currency, day)}\r\n-\r\n"
    )


def _line(line: BankLine, currency: str) -> str:
    mark = "D" if line.amount < 0 else "C"
    code = "NRTI" if line.return_reason else "NTRF"
    about = line.structured or line.remittance
    return (
        f":61:{line.value_date:%y%m%d}{line.booked:%m%d}{mark}{mt_amount(line.amount, currency)}{code}{line.end_to_end[:16]}//{line.reference[:16]}\r\n"
        f":86:166?00TRANSFER?20EREF+{line.end_to_end[:22]}?21SVWZ+{about[:22]}?32{line.counterparty[:27]}\r\n"
    )
