-- 0034: alerts counted by hour, rule and who did it, so that statistics of some users read a few thousand rows of an hour and not each of its
-- alerts. Servers fill it, the newest hours first; until then alerts are read as before. Schedules of reports may name rules.

create table alert_actor_hours (
  -- Of events. An hour is whole when its rows count as many alerts as its totals; otherwise its alerts are read.
  hour timestamptz not null,
  -- Within its hour.
  number integer not null,
  rule text not null,
  priority smallint not null,
  actor text not null,
  -- Those of an alert's fields that say who did it.
  fields jsonb not null,
  count bigint not null,
  last_at timestamptz not null,
  -- When the newest of them arrived: what lies in no day's partition goes by it.
  received_at timestamptz not null,
  primary key (hour, number)
) partition by range (hour);
create table alert_actor_hours_default partition of alert_actor_hours default;

-- The days of the hours, so that what is counted of them lies where it goes with its day.
do $$
declare
  day record;
begin
  for day in
    select c.relname as name, pg_get_expr(c.relpartbound, c.oid) as bound
    from pg_inherits i join pg_class c on c.oid = i.inhrelid
    where i.inhparent = 'alert_hours'::regclass and c.relname <> 'alert_hours_default'
  loop
    execute format('create table %I partition of alert_actor_hours %s', replace(day.name, 'alert_hours_', 'alert_actor_hours_'),
      day.bound);
  end loop;
end $$;

-- Empty for the rules that a report is about by itself.
alter table report_schedules add column rules text[] not null default '{}';
