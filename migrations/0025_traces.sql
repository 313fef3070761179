-- 0025: a rollout remembers the trace of the call that started it, so that whoever moves it later goes on with it.

alter table rollouts add column traceparent text;
