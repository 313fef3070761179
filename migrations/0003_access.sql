-- 0003: who may do what, and where. API tokens, logins, join tokens and rollouts carry a scope: a selector that every
-- cluster they reach has to match. An empty one is the whole fleet, which is what everything before had.

alter table api_tokens drop constraint api_tokens_role_check;
alter table api_tokens add constraint api_tokens_role_check check (role in ('viewer', 'operator', 'approver', 'admin'));
alter table api_tokens add column scope jsonb not null default '[]';
-- The identity that logged in, for tokens that a login made: issuer and subject of its provider.
alter table api_tokens add column issuer text;
alter table api_tokens add column subject text;
alter table api_tokens add constraint api_tokens_of_a_login check ((issuer is null) = (subject is null));
create index api_tokens_by_login on api_tokens (issuer, subject, expires_at) where issuer is not null;

-- The scope of whoever made the token: it admits nobody to a cluster outside.
alter table join_tokens add column scope jsonb not null default '[]';

-- The scope of whoever started it. Decides who sees a rollout that turned out to have no clusters.
alter table rollouts add column scope jsonb not null default '[]';
