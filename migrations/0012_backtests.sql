-- 0012: replays of rules bundles over the events that agents keep, and what they gave.

create table backtests (
  id text primary key,
  digest text not null references bundles (digest),
  since timestamptz not null,
  until timestamptz not null,
  created_by text not null,
  created_at timestamptz not null,
  deadline_at timestamptz not null,
  -- When somebody ended it, and when the last agent came to its end.
  canceled_at timestamptz,
  finished_at timestamptz
);

create index backtests_created on backtests (created_at);

create table backtest_clusters (
  backtest_id text not null references backtests (id) on delete cascade,
  cluster_id text not null references clusters (id),
  primary key (backtest_id, cluster_id)
);

create index backtest_clusters_cluster on backtest_clusters (cluster_id);

create table backtest_reports (
  backtest_id text not null references backtests (id) on delete cascade,
  agent_id text not null references agents (id),
  cluster_id text not null references clusters (id),
  state text not null,
  reason text not null,
  detail text not null,
  since timestamptz,
  updated_at timestamptz not null,
  events bigint not null,
  skipped bigint not null,
  undecided bigint not null,
  failures bigint not null,
  evaluation_us bigint not null,
  -- As in shadow_reports.
  rules jsonb not null,
  bytes_done bigint not null,
  bytes_total bigint not null,
  missing bigint not null,
  oldest timestamptz,
  primary key (backtest_id, agent_id)
);
