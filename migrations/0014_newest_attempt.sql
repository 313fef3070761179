-- 0014: each step of a rollout asks for the newest attempt of every agent, of which a hundred are kept.

create index attempts_newest on attempts (agent_id, kind, generation desc, at desc);
