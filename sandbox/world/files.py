"""Files that systems leave behind: bank statements (camt.053, MT940) and the legacy ERP's drop, delimited and IDocs."""

from __future__ import annotations

import hashlib
import json
from datetime import date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from sandbox.world.camt import render_statement
from sandbox.world.engine import World, happening
from sandbox.world.idoc import debmas
from sandbox.world.model import ZERO, BankLine, Customer, DropFile, Invoice
from sandbox.world.mt940 import render_mt940
from sandbox.world.reference import BANK_ACCOUNTS, LEGAL_ENTITIES, MT940

MEXICO = ZoneInfo("America/Mexico_City")
ITEM_COLUMNS = ("TIPO", "CLIENTE", "NOMBRE", "PAIS", "DOCUMENTO", "CLASE", "PEDIDO", "FECHA_EMISION", "FECHA_VENC",
                "MONEDA", "IMPORTE", "IMPUESTO", "PAGADO", "FECHA_PAGO", "REF_PAGO", "DISPUTA", "MODIFICADO",
                "VERSION")  # fmt: skip
CUSTOMER_COLUMNS = ("TIPO", "CLIENTE", "NOMBRE", "PAIS", "DIAS_CREDITO", "MONEDA", "LIMITE", "BLOQUEADO", "MODIFICADO",
                    "VERSION")  # fmt: skip


@happening
def statement(world: World, account: str, day_text: str) -> None:
    """The bank leaves a closed day's statement in the drop folder, when it sends one for this account."""
    bank = BANK_ACCOUNTS[account]
    day = date.fromisoformat(day_text)
    if bank.camt is None:
        return
    world.statements[account] = world.statements.get(account, 0) + 1
    if world.now < world.files_from:
        return
    closed = world.closings[account]
    opening = closed.get(day - timedelta(days=1), bank.opening)
    lines: list[BankLine] = []
    for line in reversed(world.bank_lines[account]):
        if line.booked < day:
            break
        if line.booked == day:
            lines.append(line)
    if bank.camt == MT940:
        body = render_mt940(bank, world.statements[account], day, opening=opening, closing=closed[day], lines=lines[::-1])
        name = f"mt940_{bank.iban or bank.number}_{day:%Y%m%d}.sta"
    else:
        body = render_statement(
            bank, LEGAL_ENTITIES[bank.entity].name, world.statements[account], day, opening=opening, closing=closed[day],
            lines=lines[::-1], made_at=world.now,
        )  # fmt: skip
        name = f"camt053_{bank.iban or bank.number}_{day:%Y%m%d}.xml"
    world.outbox.append(DropFile("bank-emea", name, body, about={"account": account, "day": str(day)}))


@happening
def legacy_drop(world: World) -> None:
    """Every six hours the legacy ERP drops what has changed since its last file; at the opening it drops everything."""
    first = world.live_from if not world.live else world.now
    world.later("legacy_drop", at=max(first, world.now + timedelta(hours=6)))
    if not world.live:
        return
    everything = "legacy_opened" not in world.counters
    world.count("legacy_opened")
    touched = world.legacy_touched
    items = [i for i in world.invoices.values() if i.host == "legacy-latam" and (everything or i.number in touched)]
    customers = [world.customers[c] for c in world.by_entity["MX01"] if everything or c in touched]
    world.legacy_touched = set()
    if customers:
        world.outbox.append(_customers_file(world, customers))
        world.outbox.append(_masters_file(world, customers))
    if items:
        world.outbox.append(_items_file(world, items))


def _items_file(world: World, items: list[Invoice]) -> DropFile:
    rows, totals = list[tuple[str, ...]](), dict[str, Decimal]()
    for item in items:
        amount = item.gross * item.sign
        customer = world.customers[item.customer]
        shown = broken_item(world, item, amount)
        rows.append((
            "D", shown["CLIENTE"], customer.name, customer.country, shown["DOCUMENTO"],
            {"F2": "FA", "G2": "NC", "S1": "AN"}[item.kind], item.order, shown["FECHA_EMISION"], german_date(item.due),
            shown["MONEDA"], shown["IMPORTE"], german(item.tax * item.sign),
            german(item.gross * item.sign if item.cancelled or item.kind == "S1" else item.paid * item.sign),
            german_date(item.paid_on) if item.paid_on and item.paid else "", item.paid_reference if item.paid else "",
            "S" if item.disputed else "N", german_moment(item.item_changed), str(item.version),
        ))  # fmt: skip
        totals[item.currency] = totals.get(item.currency, ZERO) + amount
    return legacy_file(world, "openitems", "PARTIDAS", ITEM_COLUMNS, rows, totals=totals)


def broken_item(world: World, item: Invoice, amount: Decimal) -> dict[str, str]:
    """The fields of a legacy line that can be broken on purpose, broken if they are."""
    shown = {"CLIENTE": item.customer, "DOCUMENTO": item.number, "FECHA_EMISION": german_date(item.issued),
             "MONEDA": item.currency, "IMPORTE": german(amount)}  # fmt: skip
    how = world.broken.get(("legacy-latam", "openitems", item.number))
    if how is not None:
        field, value = {
            "bad_amount": ("IMPORTE", "12,34,56"), "bad_currency": ("MONEDA", "XXQ"), "missing_key": ("DOCUMENTO", ""),
            "unknown_customer": ("CLIENTE", "0000099999"), "bad_date": ("FECHA_EMISION", "31.02.2026"),
        }[how]  # fmt: skip
        shown[field] = value
    return shown


def _customers_file(world: World, customers: list[Customer]) -> DropFile:
    rows, totals = list[tuple[str, ...]](), dict[str, Decimal]()
    for c in customers:
        rows.append((
            "D", c.number, c.name, c.country, str(c.terms), c.limit_currency, german(c.limit),
            "S" if c.credit_blocked else "N", german_moment(max(c.changed_at, c.credit_changed_at)), str(c.version),
        ))  # fmt: skip
        totals[c.limit_currency] = totals.get(c.limit_currency, ZERO) + c.limit
    return legacy_file(world, "customers", "CLIENTES", CUSTOMER_COLUMNS, rows, totals=totals)


def _masters_file(world: World, customers: list[Customer]) -> DropFile:
    """The customers once more, as another system of theirs wants them: flat IDocs, with a marker written last."""
    sequence = world.count("legacy:debmas")
    made = world.now.astimezone(MEXICO)
    body = "".join(debmas(c, world.count("legacy:docnum", 4_000_000), made) for c in customers).encode("latin-1", "replace")
    name = f"DEBMAS_MX01_{made:%Y%m%d}_{sequence:06d}.txt"
    return DropFile("legacy-latam", name, body, about={"kind": "debmas", "sequence": sequence, "records": len(customers), "done": ".done"})


def legacy_file(
    world: World,
    kind: str,
    title: str,
    columns: tuple[str, ...],
    rows: list[tuple[str, ...]],
    *,
    totals: dict[str, Decimal],
) -> DropFile:
    """A delimited file with header, column names, detail lines and trailer, and its manifest."""
    sequence = world.count(f"legacy:{kind}")
    lines = [
        ("H", "LEGACY-LATAM", title, "MX01", f"{sequence:06d}", german_moment(world.now)),
        columns,
        *rows,
        ("T", str(len(rows)), *(part for c in sorted(totals) for part in (c, german(totals[c])))),
    ]
    body = "".join(";".join(line) + "\r\n" for line in lines).encode("cp1252")
    name = f"{kind}_MX01_{world.now.astimezone(MEXICO):%Y%m%d}_{sequence:06d}.csv"
    return DropFile(
        "legacy-latam", name, body, legacy_manifest(name, body, len(rows), sequence, totals=totals, now=world.now),
        {"kind": kind, "sequence": sequence, "records": len(rows)},
    )  # fmt: skip


def legacy_manifest(name: str, body: bytes, records: int, sequence: int, *, totals: dict[str, Decimal], now: datetime) -> bytes:
    """What the legacy ERP says of a file of its own."""
    manifest = {
        "file": name, "sha256": hashlib.sha256(body).hexdigest(), "bytes": len(body), "records": records,
        "sequence": sequence, "entity": "MX01", "encoding": "cp1252",
        "totals": {c: str(v) for c, v in sorted(totals.items())}, "created_at": f"{now:%Y-%m-%dT%H:%M:%SZ}",
    }  # fmt: skip
    return json.dumps(manifest, indent=1).encode()


def german(amount: Decimal) -> str:
    """1234.5 -> '1.234,50', negative amounts with the minus behind, as old ERPs print them."""
    text = f"{abs(amount):,.2f}".replace(",", " ").replace(".", ",").replace(" ", ".")
    return text + "-" if amount < 0 else text


def german_date(day: date) -> str:
    """DD.MM.YYYY."""
    return f"{day:%d.%m.%Y}"


def german_moment(moment: datetime) -> str:
    """DD.MM.YYYY HH:MM:SS in Mexico City's time (UTC-6 all year)."""
    return f"{moment.astimezone(MEXICO):%d.%m.%Y %H:%M:%S}"
