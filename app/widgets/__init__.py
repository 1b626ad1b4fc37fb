"""The small parts that pages are made of: money and time in words, tiles, tables, filters, forms, receipts."""
