"""Billing documents as an S/4HANA host writes them: OData V2 pages of 1000 records, the same every time."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

PAGE = 1000
STEP = PAGE - 1
"""A reader who goes on at the last record's stamp gets that record again: pages overlap by one, the last is one short."""
FIRST = 90_000_001
START = datetime(2024, 1, 1, tzinfo=UTC)
SERVICE = "/sap/opu/odata/sap/API_BILLING_DOCUMENT_SRV"


def page(number: int, pages: int) -> bytes:
    """Page `number` of `pages`, from 0, as the answer's body."""
    records = [_record(at) for at in range(number * STEP, min(number * STEP + PAGE, pages * STEP))]
    inner: dict[str, Any] = {"__count": str((pages - number) * STEP), "results": records}
    return json.dumps({"d": inner}, separators=(",", ":")).encode()


def metadata() -> bytes:
    """The part of $metadata that names what the pages hold."""
    fields = "".join(f'<Property Name="{name}" Type="Edm.String"/>' for name in _record(0) if name[0].isupper())
    return (
        '<?xml version="1.0"?><edmx:Edmx Version="1.0" xmlns:edmx="http://schemas.microsoft.com/ado/2007/06/edmx"><edmx:DataServices>'
        '<Schema Namespace="S" xmlns="http://schemas.microsoft.com/ado/2008/09/edm">'
        f'<EntityType Name="A_BillingDocumentType">{fields}<NavigationProperty Name="to_Item"/></EntityType>'
        '<EntityContainer Name="C"><EntitySet Name="A_BillingDocument" EntityType="S.A_BillingDocumentType"/></EntityContainer>'
        "</Schema></edmx:DataServices></edmx:Edmx>"
    ).encode()


def place(stamp: datetime) -> int:
    """Which record was changed at `stamp`."""
    return int((stamp - START).total_seconds())


def _record(at: int) -> dict[str, Any]:
    key = f"{FIRST + at:08d}"
    gross = Decimal(random.Random(at).randrange(100, 10_000_000)).scaleb(-2)
    tax = (gross * Decimal("0.19")).quantize(Decimal("0.01"))
    changed = START + timedelta(seconds=at)
    issued = f"/Date({int(datetime(changed.year, changed.month, changed.day, tzinfo=UTC).timestamp() * 1000)})/"
    uri = f"http://127.0.0.1{SERVICE}/A_BillingDocument('{key}')"
    return {
        "__metadata": {"id": uri, "uri": uri, "type": "API_BILLING_DOCUMENT_SRV.A_BillingDocumentType"},
        "BillingDocument": key,
        "SDDocumentCategory": "M",
        "BillingDocumentDate": issued,
        "LastChangeDateTime": f"/Date({int(changed.timestamp() * 1000)}+0000)/",
        "TotalGrossAmount": str(gross),
        "TaxAmount": str(tax),
        "TransactionCurrency": "EUR",
        "PayerParty": f"101{at % 5000:05d}",
        "SoldToParty": f"101{at % 5000:05d}",
        "CompanyCode": "1010",
        "FiscalYear": "2024",
        "AccountingDocument": f"94{at:08d}",
        "PaymentReference": f"RF{at:018d}",
        "CustomerPaymentTerms": "NT30",
        "FixedValueDate": None,
        "AdditionalValueDays": "0",
        "Country": "DE",
        "DunningBlockingReason": "",
        "CancelledBillingDocument": "",
        "BillingDocumentIsCancelled": False,
        "AccountingPostingStatus": "C",
        "to_Item": {"results": [{"SalesDocument": f"{500_000 + at:010d}"}]},
    }
