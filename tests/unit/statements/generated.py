"""Bank files made from known facts, in the dialects of many banks: what was put in is what has to come out.

It shares nothing with the readers: it writes, and keeps beside each file what a person would read in it.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal

PLACES = {"EUR": 2, "USD": 2, "JPY": 0, "BHD": 3, "CHF": 2}
WORDS = ("Rechnung", "4711", "INV-2026/88", "Abschlag", "Mai", "payment", "ref", "No", "77", "Miete")


@dataclass
class Line:
    """An entry as a person reads it. `amount` is signed; None where the dialect does not say something."""

    amount: Decimal
    booked: date
    valued: date | None
    bank_reference: str | None = None
    customer_reference: str | None = None
    name: str | None = None
    account: str | None = None
    remittance: str | None = None
    end_to_end: str | None = None
    reversal: bool = False
    reason: str | None = None
    code: str | None = None


@dataclass
class Told:
    """A statement as a person reads it."""

    account: str
    currency: str
    day: date
    opening: Decimal
    lines: list[Line] = field(default_factory=list)
    final: bool = True

    @property
    def closing(self) -> Decimal:
        return self.opening + sum((line.amount for line in self.lines), Decimal(0))


def iban(chance: random.Random) -> str:
    """A German IBAN with right check digits."""
    own = "".join(str(chance.randrange(10)) for _ in range(18))
    check = 98 - int(own + "131400") % 97
    return f"DE{check:02d}{own}"


def money(chance: random.Random, currency: str) -> Decimal:
    """More than nothing, with as many decimals as the currency has, often fewer."""
    places = PLACES[currency]
    whole = chance.choice((chance.randrange(1, 100), chance.randrange(1, 10**6), chance.randrange(1, 10**11)))
    return Decimal(whole * chance.choice((1, 1, 10**places))).scaleb(-places)


def statement(chance: random.Random, currency: str, count: int, account: str | None = None) -> Told:
    """A statement of `count` lines with references, some of them given back."""
    day = date(2026, 1, 1) + timedelta(days=chance.randrange(0, 400))
    told = Told(account or iban(chance), currency, day, chance.choice((1, -1)) * money(chance, currency))
    for number in range(count):
        side = chance.choice((1, -1))
        line = Line(side * money(chance, currency), day, day + timedelta(days=chance.randrange(-9, 3)))
        line.bank_reference = f"B{number}X{chance.randrange(10**6)}" if chance.random() < 0.8 else None
        line.customer_reference = f"C{chance.randrange(10**6)}" if chance.random() < 0.5 else None
        line.name = chance.choice(("Müller & Söhne GmbH", "ACME Ltd", "O'Brien", "Jean Dupont")) if chance.random() < 0.9 else None
        line.account = iban(chance) if line.name and chance.random() < 0.9 else None
        line.remittance = " ".join(chance.choice(WORDS) for _ in range(chance.randrange(1, 14)))
        line.end_to_end = f"E2E-{chance.randrange(10**9)}" if chance.random() < 0.6 else None
        line.reversal = chance.random() < 0.1
        told.lines.append(line)
    return told


def comma(amount: Decimal, chance: random.Random) -> str:
    """An amount as MT writes it: unsigned, a comma, decimals or none."""
    text = f"{abs(amount):f}".replace(".", ",")
    if "," not in text:
        return text + ","
    return text.rstrip("0") if chance.random() < 0.3 else text


def wrapped(text: str, width: int = 65) -> list[str]:
    """Text as SWIFT breaks it: anywhere."""
    return [text[at : at + width] for at in range(0, len(text), width)] or [""]


def german(line: Line, chance: random.Random) -> list[str]:
    """`:86:` in ?-fields of 27 characters, as German banks write it."""
    mark = chance.choice("?<>~") if chance.random() < 0.3 else "?"
    words: list[str] = []
    if line.end_to_end:
        words += wrapped(f"EREF+{line.end_to_end}", 27)
    words += wrapped(f"SVWZ+{line.remittance}", 27)
    codes = [*range(20, 30), *range(60, 64)]
    text = f"166{mark}00GUTSCHRIFT{mark}10931"
    text += "".join(f"{mark}{code}{word}" for code, word in zip(codes, words, strict=False))
    if line.account:
        text += f"{mark}30DEUTDEFFXXX{mark}31{line.account}"
    if line.name:
        text += f"{mark}32{line.name[:27]}"
        text += f"{mark}33{line.name[27:]}" if line.name[27:] else ""
    if chance.random() < 0.5:
        text += f"{mark}34992"
    return wrapped(text)


def slashes(line: Line, _chance: random.Random) -> list[str]:
    """`:86:` in /WORDS/, as Rabobank writes it."""
    text = f"/EREF/{line.end_to_end}" if line.end_to_end else ""
    if line.name:
        text += f"/BENM//NAME/{line.name}"
        text += f"/IBAN/{line.account}" if line.account else ""
    return wrapped(f"{text}/REMI/{(line.remittance or '').replace('/', '-')}/CSID/x")


def mt_line(line: Line, chance: random.Random) -> str:
    """`:61:` with the entry date, without it, or with blanks in its place; funds code; references; a supplementary line."""
    assert line.valued is not None
    if line.reversal:
        mark = "RC" if line.amount < 0 else "RD"
    else:
        mark = "C" if line.amount > 0 else "D"
    entry = f"{line.booked:%m%d}"
    if line.booked == line.valued and chance.random() < 0.5:
        entry = chance.choice(("", "    "))
    funds = chance.choice(("", "", "R"))
    bank = f"//{line.bank_reference}" if line.bank_reference else ""
    more = chance.choice(("", "\n/OCMT/EUR100,00/CHGS/EUR1,00/", "\nsupplementary"))
    return f":61:{line.valued:%y%m%d}{entry}{mark}{funds}{comma(line.amount, chance)}NTRF{line.customer_reference or 'NONREF'}{bank}{more}"


def mt940(told: Told, chance: random.Random, number: int = 1) -> str:
    """A statement in one message or, now and then, in pages; in an envelope or without; with LF."""
    inform = chance.choice((german, slashes))
    pages = 1 if len(told.lines) < 2 or chance.random() < 0.6 else 2
    cut = len(told.lines) // pages
    made, balance = "", told.opening
    for page in range(1, pages + 1):
        lines = told.lines[:cut] if page == 1 and pages > 1 else told.lines[cut:] if pages > 1 else told.lines
        body = [f":20:STARTUMS{number}", f":25:{told.account}", f":28C:{number:05d}/{page:03d}"]
        body.append(f":60{'F' if page == 1 else 'M'}:{mt_balance(balance, told, chance)}")
        for line in lines:
            body.append(mt_line(line, chance))
            inside = inform(line, chance)
            body.append(":86:" + "\n".join(inside))
            balance += line.amount
        body.append(f":62{'F' if page == pages else 'M'}:{mt_balance(balance, told, chance)}")
        if page == pages and chance.random() < 0.5:
            body.append(f":64:{mt_balance(balance, told, chance)}")
            body.append(":86:free text on the statement")
        if chance.random() < 0.4:
            made += "{1:F01BANKDEFFXXXX0000000000}{2:I940BANKDEFFXXXXN}{4:\n" + "\n".join(body) + "\n-}{5:{CHK:ABC}}\n"
        else:
            made += "\n".join(body) + "\n-\n"
    return made


def mt_balance(balance: Decimal, told: Told, chance: random.Random) -> str:
    return f"{'C' if balance >= 0 else 'D'}{told.day:%y%m%d}{told.currency}{comma(balance, chance)}"


def mt942(told: Told, chance: random.Random) -> str:
    """A report within the day, with its floor limits and control sums."""
    came = [line.amount for line in told.lines if line.amount > 0]
    went = [line.amount for line in told.lines if line.amount < 0]
    body = [f":20:REP\n:25:{told.account}\n:28C:1/1", f":34F:{told.currency}D0,", f":34F:{told.currency}C0,"]
    body.append(f":13D:{told.day:%y%m%d}1200+0100")
    for line in told.lines:
        body += [mt_line(line, chance), ":86:" + "\n".join(german(line, chance))]
    if chance.random() < 0.7:
        body.append(f":90D:{len(went)}{told.currency}{comma(-sum(went, Decimal(0)), chance)}")
        body.append(f":90C:{len(came)}{told.currency}{comma(sum(came, Decimal(0)), chance)}")
    return "\n".join(body) + "\n-\n"


def minor(amount: Decimal, currency: str) -> int:
    """An amount in the currency's smallest unit."""
    return int(amount.scaleb(PLACES[currency]))


def bai2(groups: list[list[Told]], chance: random.Random) -> str:
    """A group for each list, of one day and currency; accounts leave out the currency where the group names it. Codes, funds types and
    continuations as they come.
    """
    out = ["01,BANK,US,260301,0600,1,80,,2/"]
    file_total = file_parts = 0
    for group in groups:
        first = group[0]
        default = chance.choice((first.currency, "")) if first.currency == "USD" else first.currency
        records = [f"02,US,BANK,1,{first.day:%y%m%d},2359,{default},{2 if first.final else 1}/"]
        group_total = 0
        for told in group:
            own, total = _bai2_account(told, chance, named=chance.random() < 0.5 or told.currency != (default or "USD"))
            records += own
            group_total += total
        records.append(f"98,{group_total},{len(group)},{len(records) + 1}/")
        out += records
        file_total += group_total
        file_parts += 1
    out.append(f"99,{file_total},{file_parts},{len(out) + 1}/")
    return "\n".join(out) + "\n"


def _bai2_account(told: Told, chance: random.Random, *, named: bool) -> tuple[list[str], int]:
    places = told.currency
    came = sum((minor(line.amount, places) for line in told.lines if line.amount > 0), 0)
    went = -sum((minor(line.amount, places) for line in told.lines if line.amount < 0), 0)
    opening, closing = minor(told.opening, places), minor(told.closing, places)
    triples = [
        ("010", f"{opening:+d}" if chance.random() < 0.5 else str(opening)),
        ("015", str(closing)),
        ("100", str(came)),
        ("400", str(went)),
    ]
    total = opening + closing + came + went
    fields = [
        each for code, amount in triples for each in (code, amount, "", chance.choice(("", "0", "1")) if code in ("100", "400") else "")
    ]
    if chance.random() < 0.5:
        fields += ["072", "500", "2", "S", "200", "200", "100"]
        total += 500
    if chance.random() < 0.5:
        fields += ["074", "300", "", "D", "2", "1", "100", "2", "200"]
        total += 300
    head = f"03,{told.account},{told.currency if named else ''}"
    cuts = sorted(chance.sample(range(1, len(fields)), chance.randrange(0, 3)))
    parts = [fields[a:b] for a, b in zip([0, *cuts], [*cuts, len(fields)], strict=True)]
    records = [f"{head},{','.join(parts[0])}/", *(f"88,{','.join(part)}/" for part in parts[1:])]
    for line in told.lines:
        line.code = chance.choice(("165", "195", "301") if line.amount > 0 else ("475", "495", "699"))
        amount = minor(abs(line.amount), places)
        total += amount
        funds = chance.choice(("", "0", "1", "2", "Z", "V", "S", "D"))
        line.valued = line.booked if funds == "0" else None
        if funds == "V":
            line.valued = line.booked + timedelta(days=1)
            funds = f"V,{line.valued:%y%m%d},{chance.choice(('', '1200', '2400'))}"
        elif funds == "S":
            funds = f"S,{amount},0,0"
        elif funds == "D":
            funds = f"D,2,0,{amount},1,0"
        words = (line.remittance or "").split(" ")
        cut = chance.randrange(len(words) + 1)
        text, more = " ".join(words[:cut]), " ".join(words[cut:])
        end = chance.choice(("/", ""))
        records.append(f"16,{line.code},{amount},{funds},{line.bank_reference or ''},{line.customer_reference or ''},{text}{end}")
        if more or not text:
            records.append(f"88,{more}{chance.choice(('/', ''))}")
    records.append(f"49,{total},{len(records) + 1}/")
    return records, total
