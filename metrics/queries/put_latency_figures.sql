-- How fast the invoices cleared in the last 90 days were paid, per region and for all ('*'). Parameters: now, on_date.
with feed as (select min(newest_changed_at) as oldest from process.stream where newest_changed_at is not null and not is_paused),
paid as (
  select coalesce(region, '*') as region, count(*) as cleared, percentile_cont(0.5) within group (order by days_to_pay)::numeric as p50,
         percentile_cont(0.9) within group (order by days_to_pay)::numeric as p90,
         count(*) filter (where due_date is not null) as judged, count(*) filter (where cleared_on > due_date) as late
  from measure.invoice_fact where cleared_on > %(on_date)s - 90 and not is_credit
  group by grouping sets ((region), ())
), region as (select '*' as name union select distinct region from measure.latency_rollup),
figure as (
  select 'invoice_to_payment_p50' as slug, r.name as region, p.p50 as value, 'days' as unit, coalesce(p.cleared, 0) as count
  from region r left join paid p on p.region = r.name
  union all select 'invoice_to_payment_p90', r.name, p.p90, 'days', coalesce(p.cleared, 0) from region r left join paid p on p.region = r.name
  union all select 'late_share', r.name, p.late / nullif(p.judged, 0)::numeric, 'share', coalesce(p.judged, 0)
  from region r left join paid p on p.region = r.name
)
insert into measure.figure (slug, dimension, key, region, on_date, value, unit, count, why_missing, as_of, oldest_feed, computed_at)
select f.slug, '', '', f.region, %(on_date)s, round(f.value, 8), f.unit, f.count,
       case when f.value is null then 'no invoice was cleared in the last 90 days' end, %(now)s, feed.oldest, %(now)s
from figure f cross join feed
on conflict (slug, dimension, key, region, on_date) do update set
  value = excluded.value, unit = excluded.unit, count = excluded.count, why_missing = excluded.why_missing, as_of = excluded.as_of,
  oldest_feed = excluded.oldest_feed, computed_at = excluded.computed_at
