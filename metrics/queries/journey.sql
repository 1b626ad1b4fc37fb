-- Every object of the transaction that `number` belongs to, from quote to bank line, with its three times.
-- Starting from an invoice or later, only that invoice; from an order, all its invoices; from a contract, all its orders.
with paid0 as (
  select source, source_key from {payment} p where p.reference = %(number)s or p.end_to_end_id = %(number)s or p.source_key = %(number)s
), line0 as (
  select structured_reference, remittance from {bank_transaction} b
  where b.entry_reference = %(number)s or b.end_to_end_id = %(number)s or b.structured_reference = %(number)s
), billed0 as (
  select source, source_key from {invoice} i where i.number = %(number)s
  union select source, source_key from {invoice} i where i.payment_reference = %(number)s
  union select source, source_key from {invoice} i where i.accounting_document = %(number)s or i.source_key = %(number)s
  union select a.source, a.invoice_key from {payment_application} a join paid0 p on p.source = a.source and p.source_key = a.payment_key
  union select i.source, i.source_key from {invoice} i join line0 b on b.structured_reference in (i.payment_reference, i.number)
), quoted as (
  select q.* from {quote} q where q.number = %(number)s
), ordered as (
  select o.* from {sales_order} o where o.number = %(number)s or o.contract_number = %(number)s or o.source_key = %(number)s
  union select o.* from {sales_order} o join {delivery} d on d.source = o.source and d.order_key = o.source_key where d.number = %(number)s
  union select o.* from {sales_order} o join {invoice} i on i.source = o.source and i.order_number = o.number
        join billed0 b on b.source = i.source and b.source_key = i.source_key
  union select o.* from {sales_order} o join {contract} c on c.number = o.contract_number
        join quoted q on q.source = c.source and q.opportunity_key = c.opportunity_key
), agreed as (
  select c.* from {contract} c where c.number = %(number)s or c.number in (select contract_number from ordered where contract_number is not null)
  union select c.* from {contract} c join quoted q on q.source = c.source and q.opportunity_key = c.opportunity_key
), billed as (
  select i.* from {invoice} i join billed0 b on b.source = i.source and b.source_key = i.source_key
  union select i.* from {invoice} i join ordered o on o.source = i.source and o.number = i.order_number where not exists (select from billed0)
), applied as (
  select a.*, i.number as invoice_number from {payment_application} a join billed i on i.source = a.source and i.source_key = a.invoice_key
  where not a.is_reversed
), paid as (
  select distinct p.* from {payment} p
  where exists (select from applied a where a.source = p.source and a.payment_key = p.source_key)
     or exists (select from paid0 z where z.source = p.source and z.source_key = p.source_key)
), booked as (
  select distinct b.* from {bank_transaction} b
  where exists (select from billed i where b.structured_reference in (i.payment_reference, i.number) or position(i.number in b.remittance) > 0)
     or exists (select from paid p where p.end_to_end_id is not null and p.end_to_end_id <> 'NOTPROVIDED' and p.end_to_end_id = b.end_to_end_id)
), object as (
  select 'quote' as kind, source, source_key, number, customer_key, region, legal_entity, changed_at as occurred_at, null::date as occurred_on,
         changed_at, recorded_at, backfilled, amount, currency, raw_record_id, status, expires_on as due_on, null::text as belongs_to
  from (select q.* from {quote} q join agreed c on c.source = q.source and c.opportunity_key = q.opportunity_key union select * from quoted) q
  union all
  select 'contract', source, source_key, number, customer_key, region, legal_entity, approved_at, start_date, changed_at, recorded_at, backfilled,
         value, currency, raw_record_id, status, start_date, null from agreed
  union all
  select 'order', source, source_key, number, customer_key, region, legal_entity, null, coalesce(order_date, changed_at::date), changed_at,
         recorded_at, backfilled, net_value, currency, raw_record_id,
         case when credit_status = 'blocked' then 'blocked' else coalesce(status, 'open') end, requested_delivery, contract_number from ordered
  union all
  select 'release', source, source_key, number, customer_key, region, legal_entity, released_at, null, changed_at, recorded_at, backfilled,
         net_value, currency, raw_record_id, credit_status, null, number from ordered where released_at is not null or credit_status = 'released'
  union all
  select 'delivery', d.source, d.source_key, d.number, d.customer_key, d.region, d.legal_entity, null, d.goods_issued_on, d.changed_at, d.recorded_at,
         d.backfilled, d.value, d.currency, d.raw_record_id, case when d.is_invoiced then 'invoiced' else 'open' end, null, o.number
  from {delivery} d join ordered o on o.source = d.source and o.source_key = d.order_key
  union all
  select 'invoice', source, source_key, number, customer_key, region, legal_entity, null, issue_date, changed_at, recorded_at, backfilled, gross,
         currency, raw_record_id, status, due_date, order_number from billed
  union all
  select 'posting', source, source_key, coalesce(accounting_document, number), customer_key, region, legal_entity, null, posting_date, changed_at,
         recorded_at, backfilled, gross, currency, raw_record_id, status, null, number from billed where posting_date is not null
  union all
  select 'payment', source, source_key, coalesce(reference, source_key), customer_key, region, legal_entity, received_at, value_date, changed_at,
         recorded_at, backfilled, amount, currency, raw_record_id, status, null, null from paid
  union all
  select 'clearing', source, source_key, invoice_number, customer_key, region, legal_entity, null, clearing_date, changed_at, recorded_at,
         backfilled, amount, currency, raw_record_id, 'applied', null, invoice_number from applied
  union all
  select 'bank line', source, source_key, coalesce(entry_reference, source_key), null, region, legal_entity, null, booking_date, changed_at,
         recorded_at, backfilled, amount, currency, raw_record_id, coalesce(return_reason, 'booked'), null, null from booked
)
select o.kind, o.source, o.source_key, o.number, o.customer_key, c.name as customer_name, o.region, o.legal_entity, o.occurred_at, o.occurred_on,
       o.changed_at, o.recorded_at, o.backfilled, o.amount, o.currency, o.raw_record_id, o.status, o.due_on, o.belongs_to
from object o left join {customer} c on c.source = o.source and c.source_key = o.customer_key
