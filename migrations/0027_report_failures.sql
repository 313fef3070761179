-- 0027: a report that cannot be made is tried again later and later, and shows why.

alter table report_schedules add column failures integer not null default 0;
alter table report_schedules add column failed_because text not null default '';
-- When it is tried again; null when the last one was made, or its time was given up.
alter table report_schedules add column retry_at timestamptz;
