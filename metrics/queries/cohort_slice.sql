-- The latency rollup of some weeks: exact per group, and the histogram by which groups merge. Parameters: since, legal_entities (null: all).
select week, region, legal_entity, currency, invoices, cleared, late, disputed, gross_reporting, p50::float8 as p50, p90::float8 as p90,
       p95::float8 as p95, weighted_mean::float8 as weighted_mean, histogram::text as histogram
from measure.latency_rollup
where week >= %(since)s and (%(regions)s::text[] is null or region = any(%(regions)s::text[]))
  and (%(legal_entities)s::text[] is null or legal_entity = any(%(legal_entities)s::text[]))
