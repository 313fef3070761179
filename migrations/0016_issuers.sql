-- 0016: issuers of clusters. By their registered keys an agent proves with a service-account token of its pod that it is
-- the agent of that cluster, so that no secret has to be carried there.

create table issuers (
  id text primary key,
  cluster_name text not null,
  cluster_uid text not null,
  -- Given to the cluster that joins.
  labels jsonb not null,
  -- What tokens have to say in iss and in sub.
  issuer text not null,
  subject text not null,
  -- Public keys, as JWKs, and the digest over them.
  keys jsonb not null,
  keys_digest text not null,
  -- Of whoever registered it: it admits to no cluster outside.
  scope jsonb not null default '[]',
  created_at timestamptz not null,
  created_by text not null,
  revoked_at timestamptz
);
create index issuers_by_cluster on issuers (cluster_name);

-- A token admits the key that came with it first. Forgotten once the token has expired.
create table issuer_uses (
  issuer_id text not null references issuers (id),
  token_hash bytea not null,
  key_hash bytea not null,
  agent_id text not null references agents (id),
  at timestamptz not null,
  expires_at timestamptz not null,
  primary key (issuer_id, token_hash)
);
create index issuer_uses_by_expiry on issuer_uses (expires_at);
