"""S/4HANA's masters -> canonical frames: customers with their company and address records, credit accounts. Pure and vectorised."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import polars as pl

from sync.ports import Mapped
from sync.systems.sap_s4.mapping import beside, day_end, drifted, local, mapped, millis, place, read_page, spoken, terms_days
from sync.systems.sap_s4.settings import Settings
from sync.systems.sap_s4.wire import ADDRESSES, COMPANIES, CREDIT_NEEDED, CREDIT_WANTED, CUSTOMERS, to_amount, to_day, to_duration_ms
from sync.wire_frames import Rule, Subject, blank_to_null, decode, readable, required, reshaped, settle, split, text_frame, to_flag


def map_customers(body: bytes, settings: Settings) -> Mapped:
    """A page of business partners with what the envelope holds of each: customer, company and address records."""
    rows, protocol = decode(split(body, "partners").records), spoken(body)
    frame = text_frame(rows, ("BusinessPartner", "Customer", "BusinessPartnerFullName", "BusinessPartnerName", "LastChangeDate",
                              "LastChangeTime", "CreationDate", "CreationTime", "IsMarkedForArchiving"))  # fmt: skip
    joined = _with_masters(frame, body, settings)
    clock = pl.when(pl.col("changed_on").is_not_null()).then(to_duration_ms("LastChangeTime")).otherwise(to_duration_ms("CreationTime"))
    joined = joined.with_columns(changed_on=to_day("LastChangeDate", protocol), created_on=to_day("CreationDate", protocol)).with_columns(
        changed_at=local(pl.coalesce("changed_on", "created_on"), clock, settings.zone),
        key=blank_to_null("Customer"),
        name=pl.coalesce(*(blank_to_null(name) for name in ("CustomerName", "BusinessPartnerFullName", "BusinessPartnerName"))),
    )
    good, bad = settle(
        joined,
        [
            *reshaped(rows),
            required("BusinessPartner"),
            required("key", "Customer"),
            readable("LastChangeDate", "changed_on", "bad_date"),
            required("changed_at", "CreationDate"),
        ],
        Subject("customer", "key", "key"),
        evidence=("BusinessPartner", "Customer", "LastChangeDate", "CreationDate"),
    )
    days = terms_days(pl.col("PaymentTerms"), settings)
    customers = good.select(
        "ordinal",
        source_key="key",
        source_version=millis("changed_at"),
        **place(pl.col("entity"), settings),
        changed_at="changed_at",
        is_deleted=to_flag("IsMarkedForArchiving") | to_flag("DeletionIndicator"),
        number="key",
        name="name",
        country=pl.coalesce(blank_to_null("Country"), pl.col("VATRegistration").str.extract(r"^([A-Z]{2})\w", 1)),
        segment=blank_to_null("CustomerClassification"),
        parent_key=blank_to_null("CustomerCorporateGroup"),
        erp_number="key",
        payment_terms_days=days,
        order_block=blank_to_null("OrderIsBlockedForCustomer").is_not_null(),
        delivery_block=blank_to_null("DeliveryIsBlocked").is_not_null(),
        billing_block=blank_to_null("BillingIsBlockedForCustomer").is_not_null(),
        posting_block=to_flag("PostingIsBlocked"),
    )
    return mapped(rows, {"customer": customers}, drifted(bad, rows), "customer")


def _with_masters(frame: pl.DataFrame, body: bytes, settings: Settings) -> pl.DataFrame:
    """The partners with their customer record, the company record of the first of our companies, and their country."""
    general = _beside(body, "customers", (*CUSTOMERS.needed, *CUSTOMERS.wanted)).unique("Customer", keep="first", maintain_order=True)
    companies = _beside(body, "companies", (*COMPANIES.needed, *COMPANIES.wanted))
    ranks = {code: rank for rank, code in enumerate(settings.company_codes)}
    ours = companies.with_columns(
        rank=pl.col("CompanyCode").replace_strict(ranks, default=len(ranks), return_dtype=pl.Int64) if ranks else pl.lit(0),
        entity=pl.col("CompanyCode").replace_strict(settings.entity_by_company_code, default=None, return_dtype=pl.String),
    ).sort("Customer", "rank", "CompanyCode")
    several = pl.col("entity").drop_nulls().n_unique().over("Customer") > 1
    company = ours.with_columns(
        entity=pl.when(several).then(None).otherwise(pl.col("entity")), PaymentTerms=blank_to_null("PaymentTerms")
    ).unique("Customer", keep="first", maintain_order=True)
    addresses = _beside(body, "addresses", (*ADDRESSES.needed, *ADDRESSES.wanted))
    address = addresses.filter(pl.col("Country") != "").unique("BusinessPartner", keep="first", maintain_order=True)
    joined = (
        frame.join(general, on="Customer", how="left", maintain_order="left")
        .join(company.select("Customer", "PaymentTerms", "entity"), on="Customer", how="left", maintain_order="left")
        .join(address, on="BusinessPartner", how="left", maintain_order="left")
    )
    # A customer that is in none of the companies' books speaks for the one legal entity there is, if there is but one.
    return joined.with_columns(pl.col("entity").fill_null(pl.lit(settings.legal_entity, dtype=pl.String)))


def _beside(body: bytes, name: str, fields: Sequence[str]) -> pl.DataFrame:
    return text_frame(beside(body, name), fields).drop("ordinal")


def map_credit(body: bytes, settings: Settings, received_at: datetime) -> Mapped:
    """A page of credit accounts: the limit of a customer in a credit segment. Their stamp is a day: it ends in the host's zone,
    and never after `received_at`.
    """
    rows, protocol = read_page(body)
    frame = text_frame(rows, (*CREDIT_NEEDED, *CREDIT_WANTED)).with_columns(
        limit_amount=to_amount("CreditLimitAmount"),
        valid_to=to_day("CreditLimitValidityEndDate", protocol),
        changed_on=to_day("CreditLimitLastChangeDate", protocol),
        key=pl.concat_str(blank_to_null("BusinessPartner"), pl.col("CreditSegment").fill_null(""), separator="/"),
    )
    good, bad = settle(
        frame,
        [
            *reshaped(rows),
            required("BusinessPartner"),
            Rule("missing_field", "CreditSegment", pl.col("CreditSegment").is_null(), "CreditSegment is empty"),
            readable("CreditLimitAmount", "limit_amount", "bad_amount"),
            readable("CreditLimitValidityEndDate", "valid_to", "bad_date"),
            readable("CreditLimitLastChangeDate", "changed_on", "bad_date"),
        ],
        Subject("credit_limit", "key", "BusinessPartner", "limit_amount", "CreditSegmentCurrency"),
    )
    limits = good.select(
        "ordinal",
        source_key="key",
        source_version=pl.col("changed_on").dt.epoch("d").cast(pl.Int64).fill_null(0),
        **place(pl.lit(settings.legal_entity, dtype=pl.String), settings),
        changed_at=day_end(pl.col("changed_on"), settings.zone, received_at),
        is_deleted=pl.lit(False),
        customer_key=blank_to_null("BusinessPartner"),
        segment=blank_to_null("CreditSegment"),
        limit_amount="limit_amount",
        currency=blank_to_null("CreditSegmentCurrency"),
        valid_to="valid_to",
        is_blocked=to_flag("CreditAccountIsBlocked"),
    )
    return mapped(rows, {"credit_limit": limits}, drifted(bad, rows), "credit_limit")
