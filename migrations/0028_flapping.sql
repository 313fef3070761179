-- 0028: when the last sessions of an agent began, so that one whose sessions begin again and again is seen.

-- A list of {atMs, at, isOtherProcess, transport, lostBy, heldBy}, oldest first: those of ten minutes, at most 16.
alter table agents add column session_begins jsonb not null default '[]';
