-- What treasury and accounts payable plan: forecast items that are not our own echoes, and approved outgoing payments.
-- A payment that its own source also reports as a cash flow (same account, currency and amount, some days apart at most) is that flow.
-- An item that names an invoice, in its own field or as the last word of its reference, carries that invoice's source and key.
-- Parameters: on_date (the cut-off's day), reporting.
with plan as (
  select source, source_key as item_key, region, legal_entity, coalesce(category, 'treasury') as category,
         coalesce(invoice_number, substring(reference from '([^-/ ]+)$')) as names, expected_date, amount, currency, confidence
  from {forecast_item} t
  where confidence <> 'actual' and coalesce(reference, '') not like 'TG-%%'
    and (expected_date >= %(on_date)s::date or invoice_number is not null)
  union all
  select source, source_key, region, legal_entity, 'disbursement', null, greatest(due_date, %(on_date)s::date), -abs(amount), currency, 'confirmed'
  from {outgoing_payment} o where status = 'approved' and due_date is not null and not exists (
    select from {forecast_item} f where f.source = o.source and f.account = o.bank_account and f.currency = o.currency
      and f.amount = -abs(o.amount) and f.expected_date between o.due_date - 5 and o.due_date + 5)
), named as (
  select distinct on (i.number) i.number, i.source, i.source_key from {invoice} i
  where i.number in (select names from plan) order by i.number, i.source, i.source_key
)
select p.source, p.item_key, p.region, p.legal_entity, p.category, n.source as invoice_source, n.source_key as invoice_key,
       p.expected_date, p.amount, p.currency, p.confidence, {rate(p.currency, %(on_date)s::date)}::numeric(18,8) as rate
from plan p left join named n on n.number = p.names
