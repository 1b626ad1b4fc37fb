-- How long changes took to become visible here, by connection and stream, over what was recorded since `since`. Parameters: since, now.
insert into measure.lag (connection, stream, records, p50, p95, longest, computed_at)
select p.connection, p.stream, count(*), percentile_cont(0.5) within group (order by seen.lag), percentile_cont(0.95) within group (order by seen.lag),
       max(seen.lag), %(now)s
from (
  select raw_record_id, extract(epoch from recorded_at - changed_at) as lag from canonical.customer
  where not backfilled and recorded_at >= %(since)s
  union all
  select raw_record_id, extract(epoch from recorded_at - changed_at) as lag from canonical.contract
  where not backfilled and recorded_at >= %(since)s
  union all
  select raw_record_id, extract(epoch from recorded_at - changed_at) as lag from canonical.sales_order
  where not backfilled and recorded_at >= %(since)s
  union all
  select raw_record_id, extract(epoch from recorded_at - changed_at) as lag from canonical.delivery
  where not backfilled and recorded_at >= %(since)s
  union all
  select raw_record_id, extract(epoch from recorded_at - changed_at) as lag from canonical.invoice
  where not backfilled and recorded_at >= %(since)s
  union all
  select raw_record_id, extract(epoch from recorded_at - changed_at) as lag from canonical.payment
  where not backfilled and recorded_at >= %(since)s
  union all
  select raw_record_id, extract(epoch from recorded_at - changed_at) as lag from canonical.payment_application
  where not backfilled and recorded_at >= %(since)s
  union all
  select raw_record_id, extract(epoch from recorded_at - changed_at) as lag from canonical.credit_limit
  where not backfilled and recorded_at >= %(since)s
  union all
  select raw_record_id, extract(epoch from recorded_at - changed_at) as lag from canonical.bank_balance
  where not backfilled and recorded_at >= %(since)s
  union all
  select raw_record_id, extract(epoch from recorded_at - changed_at) as lag from canonical.bank_transaction
  where not backfilled and recorded_at >= %(since)s
  union all
  select raw_record_id, extract(epoch from recorded_at - changed_at) as lag from canonical.forecast_item
  where not backfilled and recorded_at >= %(since)s
) seen join raw.page p on p.id = seen.raw_record_id >> 24
group by p.connection, p.stream
