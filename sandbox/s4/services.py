"""The OData services of an S/4HANA host: which entity sets, which properties, read from which records of the world.

Property names and types are those of SAP's own metadata; a test holds them to it. The credit service has no public
metadata; its names follow SAP's generated proxies (CreditManagementAccount). Deliveries and journal lines: see their files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date, datetime
from functools import cache
from typing import Any

from sandbox.records import Entity, Field, Getter, fields
from sandbox.s4.define import (
    BROKEN,
    UNKNOWN_CUSTOMER,
    EntitySet,
    attribute,
    constant,
    day,
    flag,
    money,
    of_entity,
    stamped,
    text,
    touch,
)
from sandbox.s4.journal import journal
from sandbox.s4.logistics import deliveries
from sandbox.s4.rows import cube_rows
from sandbox.world.engine import World
from sandbox.world.model import Customer, Invoice, Order
from sandbox.world.reference import LEGAL_ENTITIES

__all__ = ["BROKEN", "UNKNOWN_CUSTOMER", "EntitySet", "entity_of", "services"]


def _terms(_: World, row: Any) -> str:
    return f"NT{row.terms:02d}"


def _invoice_terms(world: World, row: Any) -> str:
    return _terms(world, world.customers[row.customer])


@cache
def services(host: str) -> dict[str, dict[str, EntitySet]]:
    """The services of a host: name -> entity set name -> definition."""
    sets = (*_partners(host), *_orders(host), *_billing(host), *deliveries(host), _cube(host), journal(host), _credit(host))
    found: dict[str, dict[str, EntitySet]] = {}
    for one in sets:
        found.setdefault(one.service, {})[one.entity.name] = one
    return found


def entity_of(host: str, name: str) -> Entity | None:
    """An entity by the name of its set, or None."""
    return next((s[name].entity for s in services(host).values() if name in s), None)


def _mine(host: str) -> Callable[[World], Iterable[Customer]]:
    return lambda w: (c for c in w.customers.values() if LEGAL_ENTITIES[c.entity].host == host)


def _partners(host: str) -> tuple[EntitySet, ...]:
    service, stamps = "API_BUSINESS_PARTNER", touch("changed_at")
    partner = Entity(
        "A_BusinessPartner", _mine(host), lambda c: c.number, stamped(),
        fields(
            text("BusinessPartner", 10, of="number"), text("Customer", 10, of="number"),
            text("BusinessPartnerCategory", 1, constant("2")), text("BusinessPartnerFullName", 81, of="name"),
            text("BusinessPartnerName", 81, of="name"), text("OrganizationBPName1", 40, lambda w, c: c.name[:40]),
            text("BusinessPartnerGrouping", 4, constant("BP02")),
            day("CreationDate", lambda w, c: c.created_at.date()), day("LastChangeDate", lambda w, c: c.changed_at.date()),
            Field("LastChangeTime", "Edm.Time", lambda w, c: c.changed_at.time()),
            flag("BusinessPartnerIsBlocked", constant(False)), flag("IsMarkedForArchiving", constant(False)),
        ),
        breakable={"missing_key": "BusinessPartner", "bad_date": "LastChangeDate"}, drift="BusinessPartnerName",
        restamp=stamps,
    )  # fmt: skip
    customer = Entity(
        "A_Customer", _mine(host), lambda c: c.number, stamped(),
        fields(
            text("Customer", 10, of="number"), text("CustomerName", 80, of="name"),
            text("CustomerFullName", 220, of="name"), text("CustomerAccountGroup", 4, constant("CUST")),
            text("CustomerCorporateGroup", 10, constant("")), text("OrderIsBlockedForCustomer", 2, of="order_block"),
            text("DeliveryIsBlocked", 2, constant("")), text("BillingIsBlockedForCustomer", 2, constant("")),
            flag("PostingIsBlocked", constant(False)), flag("DeletionIndicator", constant(False)),
            text("VATRegistration", 20, lambda w, c: f"{c.country}{c.number}"), text("Industry", 4, constant("MFG")),
            day("CreationDate", lambda w, c: c.created_at.date()),
        ),
        breakable={"missing_key": "Customer"}, customer="Customer", drift="CustomerName", restamp=stamps,
    )  # fmt: skip
    company = Entity(
        "A_CustomerCompany", _mine(host), lambda c: c.number, stamped(),
        fields(
            text("Customer", 10, of="number"), text("CompanyCode", 4, of_entity("company_code")),
            text("PaymentTerms", 4, _terms), text("ReconciliationAccount", 10, constant("12100000")),
            text("PaymentBlockingReason", 1, constant("")), flag("DeletionIndicator", constant(False)),
            text("AlternativePayerAccount", 10, constant("")),
        ),
        breakable={"missing_key": "Customer"}, customer="Customer", drift="PaymentTerms", restamp=stamps,
    )  # fmt: skip
    return (
        EntitySet(service, partner, "A_BusinessPartnerType", ("BusinessPartner",), {}),
        EntitySet(service, customer, "A_CustomerType", ("Customer",), {}),
        EntitySet(service, company, "A_CustomerCompanyType", ("Customer", "CompanyCode"), {}),
    )


def _orders(host: str) -> tuple[EntitySet, ...]:
    service = "API_SALES_ORDER_SRV"

    def rows(w: World) -> Iterable[Order]:
        return (o for o in w.orders.values() if o.host == host)

    def done(_: World, o: Order) -> str:
        return "C" if o.billing_status == "C" else ("B" if o.delivery_status == "C" else "A")

    item = Entity(
        "A_SalesOrderItem", rows, lambda o: o.number, stamped(),
        fields(
            text("SalesOrder", 10, of="number"), text("SalesOrderItem", 6, constant("10")),
            text("SalesOrderItemText", 40, of="text"), text("Material", 40, lambda w, o: o.text.upper().replace(" ", "-")),
            Field("RequestedQuantity", "Edm.Decimal", constant(1)), text("RequestedQuantityUnit", 3, constant("PC")),
            text("TransactionCurrency", 5, of="currency"), money("NetAmount", attribute("net")),
            text("DeliveryStatus", 1, of="delivery_status"), text("OrderRelatedBillingStatus", 1, of="billing_status"),
            text("SDProcessStatus", 1, done),
        ),
    )  # fmt: skip
    header = Entity(
        "A_SalesOrder", rows, lambda o: o.number, stamped(),
        fields(
            text("SalesOrder", 10, of="number"), text("SalesOrderType", 4, constant("OR")),
            text("SalesOrganization", 4, of_entity("sales_organization")), text("DistributionChannel", 2, constant("10")),
            text("OrganizationDivision", 2, constant("00")), text("SoldToParty", 10, of="customer"),
            day("CreationDate", lambda w, o: o.created_at.date()), text("CreatedByUser", 12, constant("CC0000000001")),
            day("LastChangeDate", lambda w, o: o.changed_at.date()),
            Field("LastChangeDateTime", "Edm.DateTimeOffset", attribute("changed_at")),
            text("PurchaseOrderByCustomer", 35, of="reference"), day("SalesOrderDate", lambda w, o: o.created_at.date()),
            money("TotalNetAmount", attribute("net")), text("TransactionCurrency", 5, of="currency"),
            day("RequestedDeliveryDate", attribute("requested")), text("HeaderBillingBlockReason", 2, constant("")),
            text("DeliveryBlockReason", 2, of="block"), text("CustomerPaymentTerms", 4, _invoice_terms),
            text("OverallSDProcessStatus", 1, done), text("TotalCreditCheckStatus", 1, of="credit_status"),
            text("OverallTotalDeliveryStatus", 1, of="delivery_status"),
            text("SalesDocApprovalStatus", 1, lambda w, o: w.approvals.get(o.number, "")), text("OverallSDDocumentRejectionSts", 1, constant("A")),
        ),
        breakable={"missing_key": "SalesOrder", "bad_amount": "TotalNetAmount", "bad_currency": "TransactionCurrency",
                   "unknown_customer": "SoldToParty", "bad_date": "CreationDate"},
        customer="SoldToParty", drift="TotalNetAmount", restamp=touch("changed_at"),
    )  # fmt: skip
    items = EntitySet(service, item, "A_SalesOrderItemType", ("SalesOrder", "SalesOrderItem"), {})
    return (
        EntitySet(service, header, "A_SalesOrderType", ("SalesOrder",), {"to_Item": items}, lambda w, o: (o,), True),
        items,
    )


def _billing(host: str) -> tuple[EntitySet, ...]:
    service = "API_BILLING_DOCUMENT_SRV"

    def rows(w: World) -> Iterable[Invoice]:
        return (i for i in w.invoices.values() if i.host == host)

    category = {"F2": "M", "G2": "O", "S1": "N"}
    item = Entity(
        "A_BillingDocumentItem", rows, lambda i: i.number, stamped(),
        fields(
            text("BillingDocument", 10, of="number"), text("BillingDocumentItem", 6, constant("10")),
            text("SalesDocument", 10, of="order"), text("SalesDocumentItem", 6, constant("10")),
            text("BillingDocumentItemText", 40, lambda w, i: w.orders[i.order].text),
            Field("BillingQuantity", "Edm.Decimal", constant(1)), money("NetAmount", attribute("net")),
            money("TaxAmount", attribute("tax")), money("GrossAmount", attribute("gross")),
            text("TransactionCurrency", 5, of="currency"), text("ReferenceSDDocument", 10, of="order"),
        ),
    )  # fmt: skip
    header = Entity(
        "A_BillingDocument", rows, lambda i: i.number, stamped(),
        fields(
            text("BillingDocument", 10, of="number"), text("SDDocumentCategory", 4, lambda w, i: category[i.kind]),
            text("BillingDocumentType", 4, of="kind"), day("CreationDate", lambda w, i: i.created_at.date()),
            Field("CreationTime", "Edm.Time", lambda w, i: i.created_at.time()),
            day("LastChangeDate", lambda w, i: i.changed_at.date()),
            Field("LastChangeDateTime", "Edm.DateTimeOffset", attribute("changed_at")),
            text("SalesOrganization", 4, of_entity("sales_organization")), day("BillingDocumentDate", attribute("issued")),
            flag("BillingDocumentIsCancelled", attribute("cancelled")),
            text("CancelledBillingDocument", 10, lambda w, i: i.refers_to if i.kind == "S1" else ""),
            money("TotalNetAmount", attribute("net")), money("TaxAmount", attribute("tax")),
            money("TotalGrossAmount", attribute("gross")), text("TransactionCurrency", 5, of="currency"),
            text("PayerParty", 10, of="customer"), text("SoldToParty", 10, of="customer"),
            text("CustomerPaymentTerms", 4, _invoice_terms), text("PaymentReference", 30, of="number"),
            text("CompanyCode", 4, of_entity("company_code")), text("FiscalYear", 4, of="year"),
            text("AccountingDocument", 10, of="document"), text("DocumentReferenceID", 16, of="number"),
            text("AssignmentReference", 18, of="order"), text("Country", 3, lambda w, i: w.customers[i.customer].country),
            text("DunningBlockingReason", 1, lambda w, i: "A" if i.disputed else ""),
            text("PurchaseOrderByCustomer", 35, lambda w, i: w.orders[i.order].reference),
            text("OverallSDProcessStatus", 1, constant("C")), text("OverallBillingStatus", 1, constant("C")),
            text("AccountingPostingStatus", 1, constant("C")), text("AccountingTransferStatus", 1, constant("D")),
            text("InvoiceClearingStatus", 1, lambda w, i: "C" if i.cleared_on else ("B" if i.paid else "A")),
        ),
        breakable={"missing_key": "BillingDocument", "bad_amount": "TotalGrossAmount",
                   "bad_currency": "TransactionCurrency", "unknown_customer": "PayerParty",
                   "bad_date": "BillingDocumentDate"},
        customer="PayerParty", drift="TotalGrossAmount", restamp=touch("changed_at"),
    )  # fmt: skip
    items = EntitySet(service, item, "A_BillingDocumentItemType", ("BillingDocument", "BillingDocumentItem"), {})
    return (
        EntitySet(service, header, "A_BillingDocumentType", ("BillingDocument",), {"to_Item": items},
                  lambda w, i: (i,), True),
        items,
    )  # fmt: skip


def _cleared(at: int, empty: date | str | None) -> Getter:
    return lambda _, row: row.cleared[at] if row.cleared else empty


def _touch_cube(row: Any, now: datetime) -> None:
    if row.invoice is not None:
        row.invoice.item_changed = now
    if row.payment is not None:
        row.payment.item_changed = now


def _cube(host: str) -> EntitySet:
    def of_invoice(name: str) -> Getter:
        return lambda _, row: getattr(row.invoice, name) if row.invoice is not None else ""

    entity = Entity(
        "A_OperationalAcctgDocItemCube", lambda w: cube_rows(w, host), lambda row: row.key, lambda row: row.changed,
        fields(
            text("CompanyCode", 4, of_entity("company_code")), text("FiscalYear", 4, of="year"),
            text("AccountingDocument", 10, of="document"), text("AccountingDocumentItem", 3, of="item"),
            text("CompanyCodeName", 25, lambda w, r: LEGAL_ENTITIES[r.entity].name[:25]),
            text("AccountingDocumentType", 2, of="kind"), text("FinancialAccountType", 1, constant("D")),
            text("SpecialGLCode", 1, constant("")), text("Customer", 10, of="customer"),
            text("CustomerName", 80, lambda w, r: w.customers[r.customer].name),
            text("DebitCreditCode", 1, lambda w, r: "S" if r.amount >= 0 else "H"),
            text("PostingKey", 2, lambda w, r: ("01" if r.amount >= 0 else "11") if r.kind == "RV"
                 else ("05" if r.amount >= 0 else "15")),
            money("AmountInTransactionCurrency", attribute("amount")), text("TransactionCurrency", 5, of="currency"),
            money("AmountInCompanyCodeCurrency", attribute("company_amount")),
            text("CompanyCodeCurrency", 5, of_entity("currency")),
            day("PostingDate", lambda w, r: r.posted.date()),
            day("DocumentDate", lambda w, r: r.invoice.issued if r.kind == "RV" else r.payment.value_date),
            day("NetDueDate", lambda w, r: r.invoice.due if r.kind == "RV" else r.posted.date()),
            day("ValueDate", lambda w, r: r.payment.value_date if r.payment else None),
            day("AccountingDocumentCreationDate", lambda w, r: r.posted.date()),
            Field("CreationTime", "Edm.Time", lambda w, r: r.posted.time()),
            day("LastChangeDate", lambda w, r: r.changed.date()),
            flag("IsCleared", lambda w, r: r.cleared is not None),
            day("ClearingDate", _cleared(0, None)), day("ClearingCreationDate", _cleared(1, None)),
            text("ClearingAccountingDocument", 10, _cleared(2, "")), text("ClearingDocFiscalYear", 4, _cleared(3, "")),
            flag("ClearingIsReversed", lambda w, r: bool(r.kind == "RV" and r.invoice.clearing_reversed)),
            text("BillingDocument", 10, lambda w, r: r.invoice.number if r.kind == "RV" else ""),
            text("SalesDocument", 10, of_invoice("order")),
            text("InvoiceReference", 10, lambda w, r: _referred(w, r, "document")),
            text("InvoiceReferenceFiscalYear", 4, lambda w, r: _referred(w, r, "year")),
            text("InvoiceItemReference", 3, lambda w, r: "001" if _referred(w, r, "document") else ""),
            text("PaymentReference", 30, lambda w, r: r.payment.end_to_end[:30] if r.payment else r.invoice.number),
            text("DocumentReferenceID", 16, lambda w, r: r.payment.id if r.payment else r.invoice.number),
            text("AssignmentReference", 18, of_invoice("number")),
            text("DunningBlockingReason", 1, lambda w, r: "A" if r.kind == "RV" and r.invoice.disputed else ""),
            text("DunningLevel", 1, constant("0")), text("PaymentTerms", 4, _invoice_terms),
            text("HouseBankAccount", 5, lambda w, r: r.payment.currency if r.payment else ""),
            flag("IsReversal", attribute("reversal")),
            flag("IsReversed", lambda w, r: bool(
                (r.payment.reversed and not r.reversal) if r.payment else r.invoice.cancelled)),
            text("ReverseDocument", 10, lambda w, r: _reverse(r, "document")),
            text("ReverseDocumentFiscalYear", 4, lambda w, r: _reverse(r, "year")),
        ),
        breakable={"missing_key": "AccountingDocument", "bad_amount": "AmountInTransactionCurrency",
                   "bad_currency": "TransactionCurrency", "unknown_customer": "Customer", "bad_date": "NetDueDate"},
        customer="Customer", drift="AmountInTransactionCurrency", restamp=_touch_cube,
    )  # fmt: skip
    keys = ("CompanyCode", "FiscalYear", "AccountingDocument", "AccountingDocumentItem")
    return EntitySet("API_OPLACCTGDOCITEMCUBE_SRV", entity, "A_OperationalAcctgDocItemCubeType", keys, {})


def _referred(world: World, row: Any, name: str) -> str:
    if row.kind == "DZ":
        return str(getattr(row.invoice, name))
    return str(getattr(world.invoices[row.invoice.refers_to], name)) if row.invoice.refers_to else ""


def _reverse(row: Any, name: str) -> str:
    payment = row.payment
    if payment is None or not payment.reversed:
        return ""
    return str(getattr(payment, name if row.reversal else f"reverse_{name}"))


def _credit(host: str) -> EntitySet:
    entity = Entity(
        "CreditManagementAccount", _mine(host), lambda c: c.number, stamped("credit_changed_at"),
        fields(
            text("BusinessPartner", 10, of="number"), text("CreditSegment", 10, constant("1000")),
            flag("BusinessPartnerIsCritical", constant(False)), flag("CreditAccountIsBlocked", attribute("credit_blocked")),
            text("CreditAccountBlockReason", 2, lambda w, c: "01" if c.credit_blocked else ""),
            money("CreditLimitAmount", attribute("limit")), text("CreditSegmentCurrency", 5, of="limit_currency"),
            day("CreditLimitValidityEndDate", constant(date(9999, 12, 31))),
            day("CreditLimitLastChangeDate", lambda w, c: c.credit_changed_at.date()),
            flag("CreditLimitIsZero", lambda w, c: c.limit == 0),
        ),
        breakable={"missing_key": "BusinessPartner", "bad_amount": "CreditLimitAmount",
                   "bad_currency": "CreditSegmentCurrency", "unknown_customer": "BusinessPartner"},
        customer="BusinessPartner", drift="CreditLimitAmount", restamp=touch("credit_changed_at"),
    )  # fmt: skip
    return EntitySet("API_CRDTMBUSINESSPARTNER", entity, "CreditManagementAccountType", ("BusinessPartner", "CreditSegment"), {})
