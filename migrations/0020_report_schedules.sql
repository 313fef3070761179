-- 0020: reports that the server makes by itself and sends to receivers of notifications.

create table report_schedules (
  name text primary key,
  report text not null,
  receiver text not null references notification_receivers (name),
  format text not null,
  -- As "Mon 08:00 Europe/Berlin".
  schedule text not null,
  -- Which clusters it is about.
  selector jsonb not null,
  redact text[] not null,
  next_at timestamptz not null,
  last_at timestamptz,
  created_at timestamptz not null,
  created_by text not null
);
create index report_schedules_due on report_schedules (next_at);
