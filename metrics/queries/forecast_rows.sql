-- The lines of the newest forecast whose cut-off is not after `at`. Parameters: at, legal_entities (null: all).
with newest as (select id, cut_off, made_at from measure.forecast_run where cut_off <= %(at)s order by cut_off desc, id desc limit 1)
select n.id as run_id, n.cut_off, l.source, l.item_key, l.region, l.legal_entity, l.category, l.party_id, l.invoice_number, l.expected_date,
       l.early_date, l.late_date, l.amount, l.currency, l.amount_reporting, l.confidence
from newest n join measure.forecast_line l on l.run_id = n.id
where (%(regions)s::text[] is null or l.region = any(%(regions)s::text[]))
  and (%(legal_entities)s::text[] is null or l.legal_entity = any(%(legal_entities)s::text[]))
