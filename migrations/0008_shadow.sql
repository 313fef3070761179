-- 0008: what candidates gave beside the rules that run, as agents report it before the first wave of a rollout.

create table shadow_reports (
  rollout_id text not null references rollouts (id) on delete cascade,
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
  -- A list of {rule, now, then, new, gone, samples}, at most 200.
  rules jsonb not null,
  primary key (rollout_id, agent_id)
);

create index shadow_reports_old on shadow_reports (updated_at);
