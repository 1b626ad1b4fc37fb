-- Takes up to `most` touched marks, leaving alone those another refresh is taking.
delete from measure.touched t using (
  select ctid from measure.touched order by marked_at limit %(most)s for update skip locked
) taken where t.ctid = taken.ctid
returning t.kind, t.source, t.key
