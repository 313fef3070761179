-- 0010: what an agent's pipeline said last before an attempt failed.

alter table attempts add column log_tail text not null default '';
