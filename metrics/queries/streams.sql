-- Every stream as its log has it, with its open exceptions.
select s.connection, s.stream, s.region, s.newest_changed_at, s.complete_until, s.last_success_at, s.live_since, s.next_attempt_at,
       s.consecutive_failures as failures, s.breaker_open_until, s.is_paused, s.last_error, s.last_error_kind, s.records_total,
       (select count(*) from process.exception e where e.connection = s.connection and e.stream = s.stream
          and e.state not in ('resolved', 'dismissed')) as open_exceptions
from process.stream s
where (%(connection)s::text is null or s.connection = %(connection)s::text)
  and (%(regions)s::text[] is null or s.region = any(%(regions)s::text[]))
