-- Decisions about these objects (those that a person asked for are requests) and the waits for a person: cases and exceptions.
-- An object is its entity, source and key together: two systems number their records alike, and so do two entities of one.
-- Parameters: entities, sources, record_keys (of one object each), until.
with object as (
  select * from unnest(%(entities)s::text[], %(sources)s::text[], %(record_keys)s::text[]) as o(entity, source, source_key)
), decided as (
  select d.*, o.entity
  from process.decision d join object o
    on o.source = d.subject_source and o.source_key = d.subject_key
   and o.entity = case d.subject_kind when 'order' then 'sales_order' when 'payment' then 'bank_transaction' else d.subject_kind end
)
select case d.rule when 'person' then 'request' else 'decision' end as kind, d.id, d.entity, d.subject_source as source,
       d.subject_key as object_key, d.outcome,
       case d.rule when 'person' then 'by ' || d.decided_by || ': ' || regexp_replace(array_to_string(d.reasons, '; '), '^person: ', '')
            else d.rule || ' ' || d.rule_version end as words,
       d.decided_at as opened_at, d.decided_at as closed_at
from decided d where d.decided_at <= %(until)s
union all
select 'case', c.id, d.entity, d.subject_source, c.subject_key, c.state, coalesce(c.reason, c.kind), c.opened_at,
       case when c.closed_at <= %(until)s then c.closed_at end
from process.case c join decided d on d.id = c.decision_id where c.opened_at <= %(until)s
union all
select 'exception', e.id, e.entity, e.connection, e.source_key, e.cause, e.message, e.first_seen,
       case when e.resolved_at <= %(until)s then e.resolved_at end
from process.exception e join object o on o.source = e.connection and o.entity = e.entity and o.source_key = e.source_key
where e.first_seen <= %(until)s
