-- Decisions about these objects (those that a person asked for are requests) and the waits for a person: cases and exceptions.
-- Parameters: sources, numbers, record_keys, until.
select case d.rule when 'person' then 'request' else 'decision' end as kind, d.id, d.subject_source as source, d.subject_key as object_key, d.outcome,
       case d.rule when 'person' then 'by ' || d.decided_by || ': ' || regexp_replace(array_to_string(d.reasons, '; '), '^person: ', '')
            else d.rule || ' ' || d.rule_version end as words,
       d.decided_at as opened_at, d.decided_at as closed_at
from process.decision d
where d.subject_key = any(%(numbers)s::text[] || %(record_keys)s::text[]) and d.decided_at <= %(until)s
union all
select 'case', c.id, coalesce(d.subject_source, ''), c.subject_key, c.state, coalesce(c.reason, c.kind), c.opened_at,
       case when c.closed_at <= %(until)s then c.closed_at end
from process.case c left join process.decision d on d.id = c.decision_id
where c.subject_key = any(%(numbers)s::text[] || %(record_keys)s::text[]) and c.opened_at <= %(until)s
union all
select 'exception', e.id, e.connection, e.source_key, e.cause, e.message, e.first_seen, case when e.resolved_at <= %(until)s then e.resolved_at end
from process.exception e
where e.connection = any(%(sources)s::text[]) and e.source_key = any(%(record_keys)s::text[]) and e.first_seen <= %(until)s
