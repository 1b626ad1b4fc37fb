-- Receipts to expect: open invoices at their due date, and what is neither delivered nor billed of released orders.
-- Parameters: on_date (the cut-off's day), reporting.
with billed as (
  select source, order_number, sum(gross - coalesce(tax, 0)) as amount from {invoice} i
  where order_number is not null and not is_credit and cancelled_by is null and status <> 'cancelled' group by source, order_number
), expected as (
  select f.source, f.source_key as item_key, f.region, f.legal_entity, case when f.is_disputed then 'disputed' else 'receivable' end as category,
         f.party_id, f.customer_key, f.number as invoice_number, coalesce(f.due_date, f.issue_date + 30) as due_date, f.open_amount as amount, f.currency
  from {ledger} f where f.open_amount > 0 and not f.is_credit
  union all
  select o.source, 'order:' || o.source_key, o.region, o.legal_entity, 'order', l.party_id, o.customer_key, null,
         greatest(coalesce(o.requested_delivery, %(on_date)s::date + 7), %(on_date)s::date) + coalesce(c.payment_terms_days, 30),
         o.net_value - coalesce(b.amount, 0), o.currency
  from {sales_order} o
  left join billed b on b.source = o.source and b.order_number = o.number
  left join {customer} c on c.source = o.source and c.source_key = o.customer_key
  left join canonical.identity_link l on l.source = o.source and l.source_key = o.customer_key
  where coalesce(o.status, 'open') not in ('cancelled', 'complete') and coalesce(o.billing_status, 'open') <> 'complete'
    and coalesce(o.credit_status, '') <> 'blocked' and o.net_value > coalesce(b.amount, 0) and o.currency is not null
)
select e.source, e.item_key, e.region, e.legal_entity, e.category, e.party_id,
       coalesce('party:' || e.party_id, 'customer:' || e.source || ':' || e.customer_key) as payer,
       e.invoice_number, e.due_date, e.amount, e.currency, {rate(e.currency, %(on_date)s::date)}::numeric(18,8) as rate
from expected e
