-- What the programme's days were like since `since`: records received, duplicates that did not become entries, exceptions and their repair.
select
  (select coalesce(sum(received), 0) from process.batch b where b.committed_at >= %(since)s
     and (%(connection)s::text is null or b.connection = %(connection)s::text) and (%(regions)s::text[] is null or b.region = any(%(regions)s::text[])))::bigint as received,
  (select coalesce(sum(duplicates), 0) from process.batch b where b.committed_at >= %(since)s
     and (%(connection)s::text is null or b.connection = %(connection)s::text) and (%(regions)s::text[] is null or b.region = any(%(regions)s::text[])))::bigint as duplicates,
  count(*) filter (where e.first_seen >= %(since)s) as exceptions,
  count(*) filter (where e.resolved_at >= %(since)s) as resolved,
  avg(extract(epoch from e.resolved_at - e.first_seen)) filter (where e.resolved_at >= %(since)s)::float8 as repair_seconds
from process.exception e
where (%(connection)s::text is null or e.connection = %(connection)s::text) and (%(regions)s::text[] is null or e.region = any(%(regions)s::text[]))
