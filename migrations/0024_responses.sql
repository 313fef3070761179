-- 0024: what agents did about alerts by the responses of signed rules bundles, and what they would have done.

create table responses (
  cluster_id text not null references clusters (id),
  alert_id text not null,
  -- Name of the response in the bundle.
  response text not null,
  agent_id text not null references agents (id),
  rule text not null,
  action text not null,
  -- Empty when the alert named no pod.
  namespace text not null,
  pod text not null,
  outcome text not null,
  why text not null,
  rules_digest text not null,
  decided_at timestamptz not null,
  received_at timestamptz not null,
  -- As the agent signed it, for whoever does not believe this database.
  record bytea not null,
  signature bytea not null,
  primary key (cluster_id, alert_id, response)
);
create index responses_received on responses (received_at);
create index responses_by_alert on responses (alert_id);
create index responses_by_cluster on responses (cluster_id, received_at);
