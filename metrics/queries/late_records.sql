-- The late records at `at`: what the sources had changed by then and was recorded here only later (history that was backfilled is
-- not late), each with the cause that its connection's log shows.
with version as (
  select source, 'invoice' as entity, source_key, source_key as item_key, changed_at, recorded_at, backfilled, raw_record_id from canonical.invoice
  union all select source, 'invoice', source_key, source_key, changed_at, recorded_at, backfilled, raw_record_id from canonical.invoice_history
  union all select source, 'payment_application', source_key, invoice_key, changed_at, recorded_at, backfilled, raw_record_id from canonical.payment_application
  union all select source, 'payment_application', source_key, invoice_key, changed_at, recorded_at, backfilled, raw_record_id from canonical.payment_application_history
  union all select source, 'sales_order', source_key, 'order:' || source_key, changed_at, recorded_at, backfilled, raw_record_id from canonical.sales_order
  union all select source, 'sales_order', source_key, 'order:' || source_key, changed_at, recorded_at, backfilled, raw_record_id from canonical.sales_order_history
  union all select source, 'forecast_item', source_key, source_key, changed_at, recorded_at, backfilled, raw_record_id from canonical.forecast_item
  union all select source, 'forecast_item', source_key, source_key, changed_at, recorded_at, backfilled, raw_record_id from canonical.forecast_item_history
  union all select source, 'outgoing_payment', source_key, source_key, changed_at, recorded_at, backfilled, raw_record_id from canonical.outgoing_payment
  union all select source, 'outgoing_payment', source_key, source_key, changed_at, recorded_at, backfilled, raw_record_id from canonical.outgoing_payment_history
), late as (
  select source, entity, source_key, item_key, min(changed_at) as changed_at, min(recorded_at) as recorded_at, max(raw_record_id) as raw_record_id
  from version where changed_at <= %(bound_at)s and recorded_at > %(bound_at)s and not backfilled
  group by source, entity, source_key, item_key
)
select l.source, l.entity, l.source_key, l.item_key, l.changed_at, l.recorded_at, l.raw_record_id,
       case when exists (select from process.exception e where e.connection = l.source and e.source_key = l.source_key
                           and e.first_seen <= l.recorded_at and coalesce(e.resolved_at, l.recorded_at) >= l.changed_at)
              then 'exception waiting for a person'
            when exists (select from process.run r where r.connection = l.source and r.state in ('failed', 'abandoned')
                           and r.started_at between l.changed_at and l.recorded_at)
              then 'source down, retried'
            when g.kind = 'file' then 'file came later'
            else 'waited for the next pull' end as cause
from late l left join raw.page g on g.id = l.raw_record_id >> 24
