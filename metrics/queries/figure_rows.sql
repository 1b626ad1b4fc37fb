-- Headline figures of the last days up to `on_date`. Parameters: slugs, first_day, on_date.
select slug, region, on_date, value::float8 as value, value::text as exact_value, unit, count, why_missing, as_of, oldest_feed, sync_share::text as sync_share
from measure.figure
where dimension = '' and slug = any(%(slugs)s::text[]) and on_date between %(first_day)s and %(on_date)s
