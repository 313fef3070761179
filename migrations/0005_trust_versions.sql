-- 0005: the server remembers which trust metadata each agent says it holds, so that people see how far a root has come.
alter table agents add column root_version bigint not null default 0;
alter table agents add column targets_version bigint not null default 0;
