-- 0026: counted hours put together once more, so that statistics of the whole fleet read some thousand rows of a day and not one for
-- each rule of each cluster.

create table alert_totals (
  -- Of events.
  hour timestamptz not null,
  -- A row is either of one cluster, with all its rules together, or of one rule and priority, with all clusters of a share together:
  -- what it puts together is an empty text.
  cluster_id text not null,
  rule text not null,
  priority smallint not null,
  -- Clusters are dealt out to shares, so that few of those that send at the same time wait for each other at a rule's row.
  share smallint not null,
  count bigint not null,
  last_at timestamptz not null,
  -- When the newest of them arrived: what lies in no day's partition goes by it.
  received_at timestamptz not null,
  primary key (hour, cluster_id, rule, priority, share)
) partition by range (hour);
create table alert_totals_default partition of alert_totals default;

-- The days of the hours, so that what is put in below lies where it is read and goes with its day.
do $$
declare
  day record;
begin
  for day in
    select c.relname as name, pg_get_expr(c.relpartbound, c.oid) as bound
    from pg_inherits i join pg_class c on c.oid = i.inhrelid
    where i.inhparent = 'alert_hours'::regclass and c.relname <> 'alert_hours_default'
  loop
    execute format('create table %I partition of alert_totals %s', replace(day.name, 'alert_hours_', 'alert_totals_'), day.bound);
  end loop;
end $$;

-- What servers that know no totals store from here on until they are replaced is put in by the newer ones, which compare both.
insert into alert_totals (hour, cluster_id, rule, priority, share, count, last_at, received_at)
select hour, cluster_id, '', 0, 0, sum(count), max(last_at), max(received_at) from alert_hours group by 1, 2
union all
select hour, '', rule, priority, 0, sum(count), max(last_at), max(received_at) from alert_hours group by 1, 3, 4;
