"""A bank's end-of-day statement as camt.053.001.02 or camt.053.001.08."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from xml.sax.saxutils import escape

from sandbox.world.model import BankLine
from sandbox.world.reference import BankAccount

FAMILY = {"RCDT": ("RCDT", "ESCT"), "ICDT": ("ICDT", "ESCT"), "RRTN": ("ICDT", "RRTN")}


def amount_text(amount: Decimal, currency: str) -> str:
    """An amount as the standard has it: positive, dot, the currency's own decimals."""
    return f"{abs(amount):.0f}" if currency == "JPY" else f"{abs(amount):.2f}"


def render_statement(
    account: BankAccount,
    owner: str,
    sequence: int,
    day: date,
    *,
    opening: Decimal,
    closing: Decimal,
    lines: Sequence[BankLine],
    made_at: datetime,
    version: str | None = None,
) -> bytes:
    """The statement of one account and day. Opening plus entries is closing; the caller sees to it that days chain.

    `version` is the account's own unless given: 02, 04 or 08.
    """
    version = version or account.camt or "02"
    new = version == "08"
    stamp = f"{made_at:%Y-%m-%dT%H:%M:%S}Z"
    number = f"<IBAN>{account.iban}</IBAN>" if account.iban else f"<Othr><Id>{account.number}</Id></Othr>"
    bic = "BIC" if version == "02" else "BICFI"
    head = (
        f'<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.{version}"><BkToCstmrStmt>'
        f"<GrpHdr><MsgId>{account.bank}{day:%Y%m%d}{sequence:05d}</MsgId><CreDtTm>{stamp}</CreDtTm></GrpHdr>"
        f"<Stmt><Id>{account.code}-{day:%Y%m%d}</Id><ElctrncSeqNb>{sequence}</ElctrncSeqNb>"
        f"<CreDtTm>{stamp}</CreDtTm>"
        f"<FrToDt><FrDtTm>{day}T00:00:00Z</FrDtTm><ToDtTm>{day}T23:59:59Z</ToDtTm></FrToDt>"
        f"<Acct><Id>{number}</Id><Ccy>{account.currency}</Ccy><Ownr><Nm>{escape(owner)}</Nm></Ownr>"
        f"<Svcr><FinInstnId><{bic}>{account.bic}</{bic}></FinInstnId></Svcr></Acct>"
    )
    before = day - timedelta(days=3 if day.weekday() == 0 else 1)
    balances = _balance("OPBD", opening, account.currency, before) + _balance("CLBD", closing, account.currency, day)
    entries = "".join(_entry(line, account.currency, new) for line in lines)
    return f"{head}{balances}{entries}</Stmt></BkToCstmrStmt></Document>\n".encode()


def _sign(amount: Decimal) -> str:
    return "DBIT" if amount < 0 else "CRDT"


def _balance(code: str, amount: Decimal, currency: str, day: date) -> str:
    return (
        f"<Bal><Tp><CdOrPrtry><Cd>{code}</Cd></CdOrPrtry></Tp>"
        f'<Amt Ccy="{currency}">{amount_text(amount, currency)}</Amt><CdtDbtInd>{_sign(amount)}</CdtDbtInd>'
        f"<Dt><Dt>{day}</Dt></Dt></Bal>"
    )


def _entry(line: BankLine, currency: str, new: bool) -> str:
    status = "<Sts><Cd>BOOK</Cd></Sts>" if new else "<Sts>BOOK</Sts>"
    family, sub = FAMILY[line.code]
    amount = f'<Amt Ccy="{currency}">{amount_text(line.amount, currency)}</Amt>'
    name = f"<Nm>{escape(line.counterparty)}</Nm>"
    party = f"<Pty>{name}</Pty>" if new else name
    incoming = line.amount > 0 or line.return_reason is not None
    role = "Dbtr" if incoming else "Cdtr"
    remittance = ""
    if line.structured:
        remittance = f"<Strd><CdtrRefInf><Ref>{escape(line.structured)}</Ref></CdtrRefInf></Strd>"
    elif line.remittance:
        remittance = f"<Ustrd>{escape(line.remittance)}</Ustrd>"
    returned = f"<RtrInf><Rsn><Cd>{line.return_reason}</Cd></Rsn></RtrInf>" if line.return_reason else ""
    details = amount + f"<CdtDbtInd>{_sign(line.amount)}</CdtDbtInd>" if new else (
        f"<AmtDtls><TxAmt>{amount}</TxAmt></AmtDtls>"
    )  # fmt: skip
    return (
        f"<Ntry>{amount}<CdtDbtInd>{_sign(line.amount)}</CdtDbtInd>{status}"
        f"<BookgDt><Dt>{line.booked}</Dt></BookgDt><ValDt><Dt>{line.value_date}</Dt></ValDt>"
        f"<AcctSvcrRef>{line.reference}</AcctSvcrRef>"
        f"<BkTxCd><Domn><Cd>PMNT</Cd><Fmly><Cd>{family}</Cd><SubFmlyCd>{sub}</SubFmlyCd></Fmly></Domn></BkTxCd>"
        f"<NtryDtls><TxDtls><Refs><EndToEndId>{escape(line.end_to_end)}</EndToEndId></Refs>{details}"
        f"<RltdPties><{role}>{party}</{role}></RltdPties>"
        + (f"<RmtInf>{remittance}</RmtInf>" if remittance else "")
        + f"{returned}</TxDtls></NtryDtls></Ntry>"
    )
