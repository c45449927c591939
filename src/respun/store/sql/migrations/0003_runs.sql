-- A run's row is its job: who drives it (`owner`, until `lease_until`) and its state after `number` events.
create table runs (
    seq {bigserial key},
    id text not null unique,
    thread text not null,
    project text not null,
    assistant text not null,
    created_at {float} not null,
    expires_at {float} not null,
    status text not null,
    number {bigint} not null,
    waiting {bigint} not null default 0,
    cancel_requested {bigint} not null default 0,
    owner text,
    lease_until {float} not null default 0,
    plan text not null,
    body text not null
);
-- At most one active run a thread; those that wait in line for it don't count.
create unique index runs_active on runs (thread)
    where waiting = 0 and status in ('queued', 'in_progress', 'requires_action', 'cancelling');
create index runs_of_thread on runs (thread, seq);
create index runs_of_assistant on runs (assistant, thread);
create index runs_to_do on runs (lease_until) where status in ('queued', 'in_progress', 'cancelling');
create index runs_to_expire on runs (expires_at)
    where status in ('queued', 'in_progress', 'requires_action', 'cancelling');
create index runs_owned on runs (owner) where owner is not null;

create table steps (
    seq {bigserial key},
    id text not null unique,
    run text not null,
    thread text not null,
    body text not null
);
create index steps_of_run on steps (run, seq);
create index steps_of_thread on steps (thread);

-- Events `first` to `last` of a run, as one JSON list: text arrives in small pieces that are stored together.
create table run_events (
    run text not null,
    first {bigint} not null,
    last {bigint} not null,
    thread text not null,
    body text not null,
    primary key (run, first)
);
create index run_events_of_thread on run_events (thread);
