-- 0019: notifications. Where to tell people what happens (receivers), what of it (routes), what is being gathered for one
-- message (groups), and what waits to be delivered or was given up (deliveries).

create table notification_receivers (
  name text primary key,
  kind text not null,
  -- Nothing secret: addresses, names, choices.
  settings jsonb not null,
  -- Tokens, passwords and secret URLs, sealed by the online assignment key of this id; null when there are none.
  sealed bytea,
  seal_key text,
  secret_names text[] not null default '{}',
  per_minute integer not null,
  -- The rate as one moment: when the receiver would be idle again if everything sent so far took its turn.
  busy_until timestamptz not null,
  sent_at timestamptz,
  failed_at timestamptz,
  failure text not null default '',
  created_at timestamptz not null,
  created_by text not null
);

create table notification_routes (
  name text primary key,
  -- Routes are asked in this order.
  position bigint generated always as identity,
  receiver text not null references notification_receivers (name),
  matchers text not null,
  group_by text[] not null,
  wait_ms integer not null,
  interval_ms integer not null,
  repeat_ms integer not null,
  -- Whether what it takes is shown to the routes after it as well.
  goes_on boolean not null,
  created_at timestamptz not null,
  created_by text not null
);

create table notification_groups (
  route text not null references notification_routes (name) on delete cascade,
  key text not null,
  labels jsonb not null,
  -- A bounded list; what does not fit is counted in left_out.
  entries jsonb not null,
  left_out bigint not null default 0,
  created_at timestamptz not null,
  sent_at timestamptz,
  -- When to look at it again.
  due_at timestamptz not null,
  primary key (route, key)
);
create index notification_groups_due on notification_groups (due_at);

create table notification_deliveries (
  id text primary key,
  receiver text not null references notification_receivers (name) on delete cascade,
  route text not null,
  message jsonb not null,
  -- waiting or dead; what was delivered is gone.
  state text not null,
  attempts integer not null default 0,
  -- When to try it; while a server tries, when another may.
  due_at timestamptz not null,
  failure text not null default '',
  created_at timestamptz not null,
  dead_at timestamptz
);
create index notification_deliveries_due on notification_deliveries (due_at) where state = 'waiting';
create index notification_deliveries_dead on notification_deliveries (dead_at) where state = 'dead';

-- Up to which arrival alerts were routed. Arrivals up to seen_arrival were there when transactions up to seen_xid had
-- begun: once all of those have ended, none before it can still come.
create table notification_cursor (
  id integer primary key check (id = 1),
  arrival bigint not null,
  seen_arrival bigint not null,
  seen_xid bigint not null,
  -- When the states of the fleet (silent agents and the like) were looked at.
  looked_at timestamptz not null
);
