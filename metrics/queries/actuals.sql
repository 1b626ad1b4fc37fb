-- Cash that came and went, item by item: clearings of invoices, treasury's flows that became actual, payments that were executed.
-- A payment that its own source also reports as a cash flow (same account, currency and amount, some days apart at most) is that flow.
-- Parameters: reporting, first_day, last_day.
with actual as (
  select a.source, 'payment_application' as entity, a.source_key as record_key, a.invoice_key as item_key, a.region,
         coalesce(i.legal_entity, a.legal_entity) as legal_entity, i.number as invoice_number, l.party_id, a.clearing_date as on_date, a.amount,
         a.currency, a.raw_record_id
  from {payment_application} a join {invoice} i on i.source = a.source and i.source_key = a.invoice_key
  left join canonical.identity_link l on l.source = i.source and l.source_key = i.customer_key
  where not a.is_reversed and not i.is_credit and i.cancelled_by is null and i.status in ('posted', 'cleared')
  union all
  select t.source, 'forecast_item', t.source_key, t.source_key, t.region, t.legal_entity, null, null, t.expected_date, t.amount, t.currency, t.raw_record_id
  from {forecast_item} t
  where t.confidence = 'actual' and coalesce(t.reference, '') not like 'TG-%%' and not exists (
    select from {invoice} i where i.number = coalesce(t.invoice_number, substring(t.reference from '([^-/ ]+)$')))
  union all
  select o.source, 'outgoing_payment', o.source_key, o.source_key, o.region, o.legal_entity, null, null, o.due_date, -abs(o.amount), o.currency, o.raw_record_id
  from {outgoing_payment} o where o.status = 'executed' and o.due_date is not null and not exists (
    select from {forecast_item} f where f.source = o.source and f.account = o.bank_account and f.currency = o.currency
      and f.amount = -abs(o.amount) and f.expected_date between o.due_date - 5 and o.due_date + 5)
)
select a.source, a.entity, a.record_key, a.item_key, a.region, a.legal_entity, a.invoice_number, a.party_id, a.on_date, a.amount, a.currency,
       round(a.amount * {rate(a.currency, a.on_date)}, 4) as amount_reporting, a.raw_record_id
from actual a where a.on_date between %(first_day)s and %(last_day)s
