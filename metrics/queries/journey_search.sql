-- Transactions by the beginning of any of their numbers. Parameters: beginning (a LIKE pattern), most.
select h.number, h.kind, c.name as customer, h.on_date, h.amount, h.currency from (
  (select number, 'contract' as kind, source, customer_key, coalesce(approved_at::date, start_date) as on_date, value as amount, currency
   from {contract} k where number like %(beginning)s order by number limit %(most)s)
  union all
  (select number, 'order', source, customer_key, order_date, net_value, currency from {sales_order} o where number like %(beginning)s order by number limit %(most)s)
  union all
  (select number, 'invoice', source, customer_key, issue_date, gross, currency from {invoice} i where number like %(beginning)s order by number limit %(most)s)
  union all
  (select reference, 'payment', source, customer_key, value_date, amount, currency from {payment} p where reference like %(beginning)s order by reference limit %(most)s)
  union all
  (select number, 'quote', source, customer_key, expires_on, amount, currency from {quote} q where number like %(beginning)s order by number limit %(most)s)
  union all
  (select number, 'delivery', source, customer_key, goods_issued_on, value, currency from {delivery} d where number like %(beginning)s order by number limit %(most)s)
) h left join {customer} c on c.source = h.source and c.source_key = h.customer_key
order by h.number, h.kind limit %(most)s
