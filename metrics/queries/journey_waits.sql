-- Decisions about these objects and the waits for a person: cases and exceptions. Parameters: sources, numbers, record_keys, until.
select 'decision' as kind, d.id, d.subject_source as source, d.subject_key as object_key, d.outcome, d.rule || ' ' || d.rule_version as words,
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
