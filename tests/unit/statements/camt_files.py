"""camt files of every version for the tests, each valid against its own XSD."""

from __future__ import annotations

from dataclasses import dataclass

from sync.connections import LegalEntity
from sync.ports import Mapped
from sync.statements import Owners, Schemas, mapped

IBAN = "DE89370400440532013000"
BERLIN = LegalEntity(code="DE01", name="Nordhafen GmbH", region="EMEA", currency="EUR", zone="Europe/Berlin")
OWNERS = Owners("bank", "EMEA", {}, [BERLIN], None)
ROOTS = {"052": ("BkToCstmrAcctRpt", "Rpt"), "053": ("BkToCstmrStmt", "Stmt"), "054": ("BkToCstmrDbtCdtNtfctn", "Ntfctn")}


def read(body: bytes, chain: dict[str, dict[str, str]] | None = None, schemas: Schemas | None = None) -> Mapped:
    """The file as a bank of Berlin would have sent it."""
    return mapped(body, OWNERS, chain or {}, schemas=schemas)


def rows(found: Mapped, entity: str) -> list[dict[str, object]]:
    """The rows of an entity; none where the file brought none."""
    return found.frames[entity].to_dicts() if entity in found.frames else []


@dataclass(frozen=True)
class Camt:
    """How a version of a message writes things down."""

    message: str = "053"
    version: int = 2

    @property
    def namespace(self) -> str:
        return f"urn:iso:std:iso:20022:tech:xsd:camt.{self.message}.001.{self.version:02d}"

    def document(
        self,
        entries: str = "",
        *,
        opening: str | None = "100.00",
        closing: str | None = "160.50",
        currency: str = "EUR",
        created: str = "2026-03-02T20:00:00+01:00",
        day: str = "2026-03-02",
        identifier: str = "S-1",
        sequence: str = "",
        balances: str = "",
        account: str = f"<Id><IBAN>{IBAN}</IBAN></Id><Ccy>EUR</Ccy>",
        head: str = "",
        namespace: bool = True,
    ) -> bytes:
        """A document with one statement. `balances` come instead of the opening and closing one."""
        root, inner = ROOTS[self.message]
        root += "V01" if self.version == 1 else ""
        told = balances or "".join(
            self.balance(code, amount, currency, day) for code, amount in (("OPBD", opening), ("CLBD", closing)) if amount is not None
        )
        if self.message == "054" or (self.message == "052" and not balances):
            told = balances
        number = f"<ElctrncSeqNb>{sequence}</ElctrncSeqNb>" if sequence else ""
        xmlns = f' xmlns="{self.namespace}"' if namespace else ""
        return (
            f'<?xml version="1.0" encoding="UTF-8"?>{head}<Document{xmlns}><{root}><GrpHdr><MsgId>M-1</MsgId><CreDtTm>{created}</CreDtTm></GrpHdr>'
            f"<{inner}><Id>{identifier}</Id>{number}<CreDtTm>{created}</CreDtTm><Acct>{account}</Acct>{told}{entries}</{inner}></{root}></Document>"
        ).encode()

    def balance(self, code: str, amount: str, currency: str = "EUR", day: str = "2026-03-02") -> str:
        inner = f"<Cd>{code}</Cd>" if self.version == 1 else f"<CdOrPrtry><Cd>{code}</Cd></CdOrPrtry>"
        side = "DBIT" if amount.startswith("-") else "CRDT"
        return f'<Bal><Tp>{inner}</Tp><Amt Ccy="{currency}">{amount.lstrip("-")}</Amt><CdtDbtInd>{side}</CdtDbtInd><Dt><Dt>{day}</Dt></Dt></Bal>'

    def entry(
        self,
        amount: str = "60.50",
        direction: str = "CRDT",
        *,
        currency: str = "EUR",
        status: str = "BOOK",
        reversal: bool = False,
        day: str = "<Dt>2026-03-02</Dt>",
        reference: str = "R1",
        amounts: str = "",
        charges: str = "",
        details: str | None = None,
    ) -> str:
        """An entry with one transaction, or with `details` in place of it."""
        state = f"<Sts><Cd>{status}</Cd></Sts>" if self.version >= 7 else f"<Sts>{status}</Sts>"
        code = "<BkTxCd><Domn><Cd>PMNT</Cd><Fmly><Cd>RCDT</Cd><SubFmlyCd>ESCT</SubFmlyCd></Fmly></Domn></BkTxCd>"
        inner = self.transaction(amount=self.part(amount, direction, currency)) if details is None else details
        if self.version > 1:
            inner = f"<NtryDtls>{inner}</NtryDtls>"
        back = "<RvslInd>true</RvslInd>" if reversal else ""
        named = f"<AcctSvcrRef>{reference}</AcctSvcrRef>" if reference else ""
        return (
            f'<Ntry><Amt Ccy="{currency}">{amount}</Amt><CdtDbtInd>{direction}</CdtDbtInd>{back}{state}<BookgDt>{day}</BookgDt>'
            f"<ValDt><Dt>2026-03-02</Dt></ValDt>{named}{code}{amounts}{charges}{inner}</Ntry>"
        )

    def part(self, amount: str, direction: str = "CRDT", currency: str = "EUR") -> str:
        """A transaction's own amount: since version 03 an element of its own, before that one of the details."""
        if self.version >= 3:
            return f'<Amt Ccy="{currency}">{amount}</Amt><CdtDbtInd>{direction}</CdtDbtInd>'
        return f'<AmtDtls><TxAmt><Amt Ccy="{currency}">{amount}</Amt></TxAmt></AmtDtls>'

    def transaction(
        self, *, end_to_end: str = "E2E-1", amount: str = "", remittance: str | None = None, more: str = "", name: str = "ACME"
    ) -> str:
        """A `TxDtls`: with a structured reference unless `remittance` says something else."""
        party = f"<Pty><Nm>{name}</Nm></Pty>" if self.version >= 7 else f"<Nm>{name}</Nm>"
        word = "CdtrRef" if self.version == 1 else "Ref"
        said = f"<Strd><CdtrRefInf><{word}>RF18</{word}></CdtrRefInf></Strd>" if remittance is None else remittance
        return (
            f"<TxDtls><Refs><EndToEndId>{end_to_end}</EndToEndId></Refs>{amount}<RltdPties><Dbtr>{party}</Dbtr><DbtrAcct><Id>"
            f"<IBAN>GB29NWBK60161331926819</IBAN></Id></DbtrAcct></RltdPties><RmtInf>{said}</RmtInf>{more}</TxDtls>"
        )
