-- Recomputes the touched groups of measure.latency_rollup exactly: percentiles, counts, and the histogram that merges.
-- Parameters: weeks, group_regions, entities, currencies (parallel lists), now.
with wanted as (
  select * from unnest(%(weeks)s::date[], %(group_regions)s::text[], %(entities)s::text[], %(currencies)s::text[])
    as w (week, region, legal_entity, currency)
), member as (  -- offset 0 keeps each group a walk along its own stretch of the index, however many invoices there are
  select w.week, w.region, w.legal_entity, w.currency, f.cleared_on, f.due_date, f.gross_reporting, f.is_disputed, f.days_to_pay
  from wanted w cross join lateral (
    select i.cleared_on, i.due_date, i.gross_reporting, i.is_disputed, i.days_to_pay from measure.invoice_fact i
    where i.week = w.week and i.region = w.region and coalesce(i.legal_entity, '') = w.legal_entity and i.currency = w.currency
      and not i.is_credit
    offset 0
  ) f
), grouped as (
  select week, region, legal_entity, currency, count(*) as invoices, count(cleared_on) as cleared,
         count(*) filter (where cleared_on > due_date) as late, count(*) filter (where is_disputed) as disputed,
         case when count(gross_reporting) = count(*) then sum(gross_reporting) end as gross_reporting,
         percentile_cont(array[0.5, 0.9, 0.95]) within group (order by days_to_pay) as quantiles,
         sum(days_to_pay * gross_reporting) / nullif(sum(gross_reporting) filter (where days_to_pay is not null), 0) as weighted_mean
  from member group by week, region, legal_entity, currency
), histogram as (
  select week, region, legal_entity, currency, jsonb_object_agg(days_to_pay, invoices) as days
  from (select week, region, legal_entity, currency, days_to_pay, count(*) as invoices from member
        where days_to_pay is not null group by week, region, legal_entity, currency, days_to_pay) counted
  group by week, region, legal_entity, currency
), gone as (
  delete from measure.latency_rollup r using wanted w
  where r.week = w.week and r.region = w.region and r.legal_entity = w.legal_entity and r.currency = w.currency
    and not exists (select from grouped g where (g.week, g.region, g.legal_entity, g.currency) = (w.week, w.region, w.legal_entity, w.currency))
)
insert into measure.latency_rollup
  (week, region, legal_entity, currency, invoices, cleared, late, disputed, gross_reporting, p50, p90, p95, weighted_mean, histogram, computed_at)
select g.week, g.region, g.legal_entity, g.currency, g.invoices, g.cleared, g.late, g.disputed, g.gross_reporting,
       g.quantiles[1], g.quantiles[2], g.quantiles[3], g.weighted_mean, coalesce(h.days, '{}'::jsonb), %(now)s
from grouped g left join histogram h using (week, region, legal_entity, currency)
on conflict (week, region, legal_entity, currency) do update set
  invoices = excluded.invoices, cleared = excluded.cleared, late = excluded.late, disputed = excluded.disputed,
  gross_reporting = excluded.gross_reporting, p50 = excluded.p50, p90 = excluded.p90, p95 = excluded.p95,
  weighted_mean = excluded.weighted_mean, histogram = excluded.histogram, computed_at = excluded.computed_at
