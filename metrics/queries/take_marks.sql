-- Takes up to `most` touched marks, the oldest first; one that was set more than once comes as often.
delete from measure.touched t using (
  select ctid from measure.touched order by marked_at limit %(most)s
) taken where t.ctid = taken.ctid
returning t.kind, t.source, t.key
