-- The lines of published forecasts with a cut-off before `until`: of each week the newest. Parameters: until, reporting.
with newest as (
  select distinct on (date_trunc('week', r.cut_off)) r.id, r.cut_off, r.made_at > r.cut_off + interval '1 day' as is_hindsight
  from measure.forecast_run r where r.cut_off < %(until)s and r.reporting_currency = %(reporting)s
  order by date_trunc('week', r.cut_off), r.cut_off desc
)
select l.run_id, n.cut_off, n.is_hindsight, l.region, l.legal_entity, l.currency, l.expected_date, l.amount_reporting
from newest n join measure.forecast_line l on l.run_id = n.id
where l.amount_reporting is not null and (%(regions)s::text[] is null or l.region = any(%(regions)s::text[]))
