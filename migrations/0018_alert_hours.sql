-- 0018: alerts counted by hour, so that statistics over days read hours and not alerts.

create table alert_hours (
  -- Of events.
  hour timestamptz not null,
  cluster_id text not null,
  rule text not null,
  priority smallint not null,
  count bigint not null,
  last_at timestamptz not null,
  -- When the newest of them arrived: what lies in no day's partition goes by it.
  received_at timestamptz not null,
  primary key (hour, cluster_id, rule, priority)
) partition by range (hour);
create table alert_hours_default partition of alert_hours default;
create index alert_hours_by_rule on alert_hours (rule, hour);

insert into alert_hours (hour, cluster_id, rule, priority, count, last_at, received_at)
select date_bin('1 hour', time, timestamptz 'epoch'), cluster_id, rule, priority, count(*), max(time), max(received_at)
from alerts group by 1, 2, 3, 4;
