-- How long a change in a source took to be visible here, by source and entity. Parameter: since.
select source, entity, count(*) as records, percentile_cont(0.5) within group (order by lag) as p50,
       percentile_cont(0.95) within group (order by lag) as p95, max(lag)::double precision as longest
from (
  select source, 'customer' as entity, extract(epoch from recorded_at - changed_at) as lag from {customer} c
  where not backfilled and recorded_at >= %(since)s
  union all
  select source, 'contract' as entity, extract(epoch from recorded_at - changed_at) as lag from {contract} c
  where not backfilled and recorded_at >= %(since)s
  union all
  select source, 'sales_order' as entity, extract(epoch from recorded_at - changed_at) as lag from {sales_order} s
  where not backfilled and recorded_at >= %(since)s
  union all
  select source, 'invoice' as entity, extract(epoch from recorded_at - changed_at) as lag from {invoice} i
  where not backfilled and recorded_at >= %(since)s
  union all
  select source, 'payment' as entity, extract(epoch from recorded_at - changed_at) as lag from {payment} p
  where not backfilled and recorded_at >= %(since)s
  union all
  select source, 'payment_application' as entity, extract(epoch from recorded_at - changed_at) as lag from {payment_application} p
  where not backfilled and recorded_at >= %(since)s
  union all
  select source, 'credit_limit' as entity, extract(epoch from recorded_at - changed_at) as lag from {credit_limit} c
  where not backfilled and recorded_at >= %(since)s
  union all
  select source, 'bank_balance' as entity, extract(epoch from recorded_at - changed_at) as lag from {bank_balance} b
  where not backfilled and recorded_at >= %(since)s
  union all
  select source, 'bank_transaction' as entity, extract(epoch from recorded_at - changed_at) as lag from {bank_transaction} b
  where not backfilled and recorded_at >= %(since)s
  union all
  select source, 'forecast_item' as entity, extract(epoch from recorded_at - changed_at) as lag from {forecast_item} f
  where not backfilled and recorded_at >= %(since)s
) seen
group by source, entity
