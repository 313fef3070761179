-- 0033: when an agent said goodbye, so that a node that was replaced is not taken for one that was lost.

-- Null while it has a session, and when its last one ended without a goodbye.
alter table agents add column left_at timestamptz;
