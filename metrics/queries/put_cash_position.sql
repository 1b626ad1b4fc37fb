-- Writes the newest balance of every bank account.
insert into measure.cash_position
  (source, account, region, legal_entity, currency, as_of_date, balance_type, amount, amount_reporting, recorded_at, raw_record_id)
select * from ({query(positions)}) p
