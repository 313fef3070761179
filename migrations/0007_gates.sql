-- 0007: what the gates of a wave said last. One row per rollout, wave and gate, replaced whenever they are judged.

create table rollout_gates (
  rollout_id text not null references rollouts (id),
  wave integer not null,
  gate text not null,
  state text not null check (state in ('holds', 'waits', 'fails')),
  measured text not null,
  gate_limit text not null,
  words text not null,
  -- The generation of the rollout that it was judged in: a verdict of before a person resumed it decides nothing.
  generation bigint not null,
  judged_at timestamptz not null,
  primary key (rollout_id, wave, gate)
);
