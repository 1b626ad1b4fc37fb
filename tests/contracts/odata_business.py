"""What happens in a company that runs S/4HANA: orders, bills, postings, payments, clearings and what is taken back, at random but by a seed."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from tests.contracts.odata_world import Row, World

ITEMS, LINES = "A_OperationalAcctgDocItemCube", "GLAccountLineItem"
ZERO = Decimal(0)


@dataclass
class Business:
    """Acts upon the books of a host; `now` is its clock. What has been cleared once is not deleted, as accounting has it."""

    world: World
    dice: random.Random
    now: datetime
    numbers: int = 1000
    stamped: datetime = datetime(2020, 1, 1, tzinfo=UTC)
    settled: set[tuple[str, ...]] = field(default_factory=set)

    @property
    def today(self) -> date:
        return self.now.date()

    def act(self) -> None:
        """One thing happens."""
        acts: list[Callable[[], None]] = [
            self.order, self.order, self.change_order, self.complete_order, self.delete_order, self.customer, self.change_customer,
            self.delete_customer, self.limit, self.limit, self.delete_limit, self.delivery, self.bill_delivery, self.move_goods,
            self.delete_delivery, self.invoice, self.invoice, self.pay, self.pay, self.clear, self.clear_silently, self.reopen,
            self.reverse_payment, self.delete_item, self.journal,
        ]  # fmt: skip
        self.dice.choice(acts)()

    def order(self) -> None:
        self.world.put(
            "A_SalesOrder", SalesOrder=self._number(), SoldToParty="C1", SalesOrganization="1010", TransactionCurrency="EUR",
            TotalNetAmount=self._amount(), SalesOrderDate=self.today, CreationDate=self.today, OverallSDProcessStatus="A",
            LastChangeDateTime=self._stamp(),
        )  # fmt: skip

    def change_order(self) -> None:
        self._change(
            "A_SalesOrder",
            DeliveryBlockReason=self.dice.choice(["", "01"]),
            TotalNetAmount=self._amount(),
            LastChangeDateTime=self._stamp(),
        )

    def complete_order(self) -> None:
        self._change("A_SalesOrder", OverallSDProcessStatus="C", LastChangeDateTime=self._stamp())

    def delete_order(self) -> None:
        self._delete("A_SalesOrder", lambda row: row["OverallSDProcessStatus"] != "C")

    def customer(self) -> None:
        number = self._number()
        self.world.put("A_BusinessPartner", BusinessPartner=number, Customer=number, LastChangeDate=None, CreationDate=self.today)
        self.world.put("A_Customer", Customer=number, CustomerName=f"Customer {number}")
        self.world.put("A_CustomerCompany", Customer=number, CompanyCode="1010", PaymentTerms="NT30")
        self.world.put("A_BusinessPartner", BusinessPartner=self._number(), Customer="", CreationDate=self.today)

    def change_customer(self) -> None:
        self._change("A_Customer", DeliveryIsBlocked=self.dice.choice(["", "01"]), PostingIsBlocked=self.dice.random() < 0.5)

    def delete_customer(self) -> None:
        gone = self._delete("A_BusinessPartner", lambda row: row["Customer"] != "")
        if gone is not None:
            self.world.rows["A_Customer"].pop((gone["Customer"],), None)
            self.world.rows["A_CustomerCompany"].pop((gone["Customer"], "1010"), None)

    def limit(self) -> None:
        self.world.put(
            "CreditManagementAccount", BusinessPartner=f"C{self.dice.randrange(30)}", CreditSegment="0000", CreditSegmentCurrency="EUR",
            CreditLimitAmount=self._amount(), CreditAccountIsBlocked=self.dice.random() < 0.5,
        )  # fmt: skip

    def delete_limit(self) -> None:
        self._delete("CreditManagementAccount", lambda _: True)

    def delivery(self) -> None:
        order = self._one("A_SalesOrder")
        if order is None:
            return
        self.world.put("A_SalesOrderItem", SalesOrder=order["SalesOrder"], SalesOrderItem="10", NetAmount=Decimal(90), TransactionCurrency="EUR",
                       RequestedQuantity=Decimal(3), RequestedQuantityUnit="PC")  # fmt: skip
        served = {"DeliveryDocumentItem": "000010", "ReferenceSDDocument": order["SalesOrder"], "ReferenceSDDocumentItem": "000010",
                  "ActualDeliveryQuantity": Decimal(3), "DeliveryQuantityUnit": "PC", "DeliveryRelatedBillingStatus": "A"}  # fmt: skip
        self.world.put(
            "A_OutbDeliveryHeader", DeliveryDocument=self._number(), SoldToParty="C1", OverallDelivReltdBillgStatus="A", SDDocumentCategory="J",
            CreationDate=self.today, LastChangeDate=None, to_DeliveryDocumentItem=[served],
        )  # fmt: skip

    def move_goods(self) -> None:
        """Goods leave, or come back; the day of it may be any near day."""
        day = self.dice.choice([None, self.today, self.today + timedelta(days=3)])
        self._change("A_OutbDeliveryHeader", ActualGoodsMovementDate=day, LastChangeDate=self.today)

    def bill_delivery(self) -> None:
        """That it was billed touches no stamp."""
        row = self._one("A_OutbDeliveryHeader")
        if row is not None:
            done = [{**one, "DeliveryRelatedBillingStatus": "C"} for one in row["to_DeliveryDocumentItem"]]
            self.world.put("A_OutbDeliveryHeader", **{**row, "OverallDelivReltdBillgStatus": "C", "to_DeliveryDocumentItem": done})

    def delete_delivery(self) -> None:
        self._delete("A_OutbDeliveryHeader", lambda row: row["OverallDelivReltdBillgStatus"] != "C")

    def invoice(self) -> None:
        """A bill and its item on the customer's account; its posting may belong to another year, which began in July."""
        number, amount = self._number(), self._amount()
        posted = self.today - timedelta(days=self.dice.choice([0, 1, 40, 400]))
        year = str(posted.year + (posted.month > 6))
        self.world.put(
            "A_BillingDocument", BillingDocument=f"9{number}", SDDocumentCategory=self.dice.choice("MMMU"), PayerParty="C1", TransactionCurrency="EUR",
            TotalGrossAmount=amount, BillingDocumentDate=posted, CompanyCode="1010", AccountingDocument=number, AccountingPostingStatus="C",
            LastChangeDateTime=self._stamp(),
        )  # fmt: skip
        self._item(number, year, "RV", amount, posted, BillingDocument=f"9{number}")
        self._item(number, year, "KR", -amount, posted, AccountingDocumentItem="002", FinancialAccountType="K")

    def pay(self) -> None:
        """A payment of a part of an open bill, which it names; or on account."""
        bill = self._one(ITEMS, lambda row: row["BillingDocument"] != "" and not row["IsCleared"])
        names = {}
        if bill is not None and self.dice.random() < 0.8:
            names = {"InvoiceReference": bill["AccountingDocument"], "InvoiceReferenceFiscalYear": bill["FiscalYear"]}
        self._item(self._number(), str(self.today.year), "DZ", -self._amount() / 4, self.today, **names)

    def clear(self) -> None:
        """A bill is cleared and says when."""
        self._clear(ClearingCreationDate=self.today, ClearingDate=self.today)

    def clear_silently(self) -> None:
        """A bill is cleared by a document of long ago: no stamp is of today."""
        self._clear(ClearingCreationDate=self.today - timedelta(days=30), ClearingDate=self.today - timedelta(days=30))

    def reopen(self) -> None:
        """A clearing is reset: the item is as it was before, without any stamp of its own."""
        row = self._one(ITEMS, lambda row: row["IsCleared"])
        if row is not None:
            blank = {"IsCleared": False, "ClearingDate": None, "ClearingCreationDate": None, "ClearingAccountingDocument": "",
                     "ClearingDocFiscalYear": "0000"}  # fmt: skip
            self.world.put(ITEMS, **{**row, **blank, "ClearingIsReversed": self.dice.random() < 0.5})

    def reverse_payment(self) -> None:
        row = self._one(ITEMS, lambda row: row["AccountingDocumentType"] == "DZ" and not row["IsReversed"])
        if row is not None:
            self.world.put(ITEMS, **{**row, "IsReversed": True, "LastChangeDate": self.today})

    def delete_item(self) -> None:
        """A bill's item that was never cleared, and that no payment names, is gone."""
        named = {row["InvoiceReference"] for row in self.world.rows[ITEMS].values()}
        self._delete(
            ITEMS,
            lambda row: row["BillingDocument"] != "" and self._key(row) not in self.settled and row["AccountingDocument"] not in named,
        )

    def journal(self) -> None:
        number = self._number()
        for ledger, kind in (("0L", "S"), ("2L", "S"), ("0L", "D")):
            self.world.put(
                LINES, Ledger=ledger, CompanyCode=self.dice.choice(["1010", "1010", "7777"]), FiscalYear="2026", AccountingDocument=number,
                LedgerGLLineItem="000001" if kind == "S" else "000002", GLAccount="41000000", FinancialAccountType=kind,
                AmountInTransactionCurrency=self._amount(), TransactionCurrency="EUR", PostingDate=self.today,
                CreationDateTime=self._stamp(), LastChangeDateTime=self._stamp(), DebitCreditCode="S",
            )  # fmt: skip

    def _clear(self, **stamps: date) -> None:
        row = self._one(ITEMS, lambda row: row["BillingDocument"] != "" and not row["IsCleared"])
        if row is not None:
            self.settled.add(self._key(row))
            said = {
                "IsCleared": True,
                "ClearingAccountingDocument": "77",
                "ClearingDocFiscalYear": row["FiscalYear"],
                "ClearingIsReversed": False,
            }
            self.world.put(ITEMS, **{**row, **said, **stamps})

    def _item(self, number: str, year: str, kind: str, amount: Decimal, posted: date, **values: Any) -> None:
        said = {"AccountingDocumentItem": "001", "FinancialAccountType": "D", "Customer": "C1", **values}
        self.world.put(
            ITEMS, CompanyCode="1010", FiscalYear=year, AccountingDocument=number, AccountingDocumentType=kind, TransactionCurrency="EUR",
            AmountInTransactionCurrency=amount, DebitCreditCode="S" if amount > 0 else "H", PostingDate=posted, DocumentDate=posted,
            AccountingDocumentCreationDate=self.today, LastChangeDate=self.dice.choice([None, self.today]), **said,
        )  # fmt: skip

    def _key(self, row: Row) -> tuple[str, ...]:
        return tuple(row[name] for name in ("CompanyCode", "FiscalYear", "AccountingDocument", "AccountingDocumentItem"))

    def _one(self, name: str, fits: Callable[[Row], bool] = lambda _: True) -> Row | None:
        found = [row for _, row in sorted(self.world.rows[name].items()) if fits(row)]
        return self.dice.choice(found) if found else None

    def _change(self, name: str, **values: Any) -> None:
        row = self._one(name)
        if row is not None:
            self.world.put(name, **{**row, **values})

    def _delete(self, name: str, fits: Callable[[Row], bool]) -> Row | None:
        row = self._one(name, fits)
        if row is not None:
            held = self.world.rows[name]
            del held[next(key for key, one in held.items() if one is row)]
        return row

    def _amount(self) -> Decimal:
        return Decimal(self.dice.randrange(100, 100_000)) / 100

    def _number(self) -> str:
        self.numbers += 1
        return str(self.numbers)

    def _stamp(self) -> datetime:
        """Stamps only grow, one behind the other, some within one millisecond."""
        self.stamped = max(self.stamped, self.now - timedelta(minutes=1)) + timedelta(microseconds=self.dice.choice([7, 300, 90_000]))
        return self.stamped
