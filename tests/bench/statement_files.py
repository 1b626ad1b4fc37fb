"""Statements of any length for the benchmark, in three formats: the same entries, each file balancing."""

from __future__ import annotations

from collections.abc import Callable

IBAN = "DE89370400440532013000"
DAY, SHORT_DAY = "2026-03-02", "260302"


def cents(number: int) -> int:
    """The amount of the entry `number`: never the same as its neighbour's."""
    return (number * 37) % 100_000 + 1


def camt(entries: int) -> bytes:
    """A camt.053.001.02 statement, some 600 bytes an entry."""
    total = sum(cents(n) for n in range(entries))
    head = (
        '<?xml version="1.0" encoding="UTF-8"?><Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.02"><BkToCstmrStmt><GrpHdr>'
        f"<MsgId>M</MsgId><CreDtTm>{DAY}T20:00:00Z</CreDtTm></GrpHdr><Stmt><Id>S</Id><CreDtTm>{DAY}T20:00:00Z</CreDtTm>"
        f"<Acct><Id><IBAN>{IBAN}</IBAN></Id><Ccy>EUR</Ccy></Acct>{_balance('OPBD', 0)}{_balance('CLBD', total)}"
    )
    return f"{head}{''.join(map(_entry, range(entries)))}</Stmt></BkToCstmrStmt></Document>".encode()


def _balance(code: str, amount: int) -> str:
    kind = f"<Tp><CdOrPrtry><Cd>{code}</Cd></CdOrPrtry></Tp>"
    return f'<Bal>{kind}<Amt Ccy="EUR">{amount / 100:.2f}</Amt><CdtDbtInd>CRDT</CdtDbtInd><Dt><Dt>{DAY}</Dt></Dt></Bal>'


def _entry(n: int) -> str:
    amount = f'<Amt Ccy="EUR">{cents(n) / 100:.2f}</Amt>'
    return (
        f"<Ntry>{amount}<CdtDbtInd>CRDT</CdtDbtInd><Sts>BOOK</Sts><BookgDt><Dt>{DAY}</Dt></BookgDt><ValDt><Dt>{DAY}</Dt></ValDt>"
        f"<AcctSvcrRef>R{n:09d}</AcctSvcrRef><BkTxCd><Domn><Cd>PMNT</Cd><Fmly><Cd>RCDT</Cd><SubFmlyCd>ESCT</SubFmlyCd></Fmly></Domn></BkTxCd>"
        f"<NtryDtls><TxDtls><Refs><EndToEndId>E2E-{n}</EndToEndId></Refs><AmtDtls><TxAmt>{amount}</TxAmt></AmtDtls><RltdPties>"
        f"<Dbtr><Nm>Customer {n % 5000}</Nm></Dbtr><DbtrAcct><Id><IBAN>{IBAN}</IBAN></Id></DbtrAcct></RltdPties>"
        f"<RmtInf><Ustrd>Invoice {n} of the year</Ustrd></RmtInf></TxDtls></NtryDtls></Ntry>"
    )


def mt940(entries: int) -> bytes:
    """An MT940 message."""
    total = sum(cents(n) for n in range(entries))
    lines = [
        f":61:{SHORT_DAY}{SHORT_DAY[2:]}C{_comma(cents(n))}NTRFNONREF//R{n:09d}\r\n"
        f":86:166?00GUTSCHRIFT?20EREF+E2E-{n}?21SVWZ+Invoice {n} of the year?31{IBAN}?32Customer {n % 5000}\r\n"
        for n in range(entries)
    ]
    head = f":20:S\r\n:25:{IBAN}\r\n:28C:1/1\r\n:60F:C{SHORT_DAY}EUR0,00\r\n"
    return f"{head}{''.join(lines)}:62F:C{SHORT_DAY}EUR{_comma(total)}\r\n-\r\n".encode()


def _comma(amount: int) -> str:
    return f"{amount / 100:.2f}".replace(".", ",")


def bai2(entries: int) -> bytes:
    """A BAI2 file of one account."""
    total = sum(cents(n) for n in range(entries))
    lines = [f"16,165,{cents(n)},,R{n:09d},E2E-{n},Invoice {n} of the year from Customer {n % 5000}/\n" for n in range(entries)]
    check = total * 2
    return (
        f"01,A,B,{SHORT_DAY},2000,1,,,2/\n02,B,A,1,{SHORT_DAY},,EUR,2/\n03,123456,EUR,010,0,,,015,{total},,/\n{''.join(lines)}"
        f"49,{check},{entries + 2}/\n98,{check},1,{entries + 4}/\n99,{check},1,{entries + 6}/\n"
    ).encode()


MADE: dict[str, Callable[[int], bytes]] = {"camt.053": camt, "MT940": mt940, "BAI2": bai2}
