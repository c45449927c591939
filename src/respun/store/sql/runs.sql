-- name: active
-- The run that holds the thread, if there is one.
select id from runs where thread = :thread and waiting = 0
  and status in ('queued', 'in_progress', 'requires_action', 'cancelling');

-- name: scene
-- What a new run needs to know, in one look: its assistant, and the run that holds the thread.
select a.body as assistant, (
    select r.id from runs r where r.thread = t.id and r.waiting = 0
      and r.status in ('queued', 'in_progress', 'requires_action', 'cancelling')) as active
from threads t left join assistants a on a.id = :assistant and a.project = t.project
where t.id = :thread and t.project = :project;

-- name: insert
-- The run is driven by the worker that creates it, or waits for any (no owner).
insert into runs (id, thread, project, assistant, created_at, expires_at, status, number, waiting, owner, lease_until, plan, body)
values (:id, :thread, :project, :assistant, :created_at, :expires_at, :status, :number, :waiting, :owner, :lease_until, :plan, :body);

-- name: get
-- A run is found in its thread only.
select plan, body from runs where id = :id and thread = :thread and project = :project;

-- name: load
-- For the engine, which knows no projects.
select project, plan, body, owner, lease_until, waiting, cancel_requested from runs where id = :id;

-- name: load_locked
-- The same, for a decision in this transaction.
select project, plan, body, owner, lease_until, waiting, cancel_requested from runs where id = :id {for_update};

-- name: newest_id
-- By the index of (thread, seq).
select id from runs where thread = :thread order by seq desc limit 1;

-- name: place
-- Where a cursor stands.
select seq as place from runs where id = :id and thread = :thread;

-- name: page_asc
-- Keyset paging on (thread, seq).
select seq, plan, body from runs where thread = :thread and seq > :low and seq < :high order by seq limit :limit;

-- name: page_desc
-- The same, newest first.
select seq, plan, body from runs where thread = :thread and seq > :low and seq < :high order by seq desc limit :limit;

-- name: advance
-- The number is the fence: whoever didn't see the last event may not add one.
update runs set number = :number, status = :status, body = :body, owner = :owner, lease_until = :lease_until
where id = :id and number = :expected;

-- name: progress
-- Text came in: nothing else of the run changed.
update runs set number = :number, body = :body where id = :id and number = :expected;

-- name: request_cancel
-- For the worker that drives it, which asks at every heartbeat.
update runs set cancel_requested = 1 where id = :id and status in ('queued', 'in_progress', 'requires_action');

-- name: add_events
-- Adjacent events are one row.
insert into run_events (run, first, last, thread, body) values (:run, :first, :last, :thread, :body);

-- name: first_events
-- The creation is in the first row.
select body from run_events where run = :run and first = 1;

-- name: events
-- From the row that holds the event after `after` on.
select first, last, body from run_events where run = :run and last > :after order by first limit :limit;

-- name: put_step
-- A step is written when it begins and when it changes.
insert into steps (id, run, thread, body) values (:id, :run, :thread, :body)
on conflict (id) do update set body = excluded.body;

-- name: step
-- A step is found in its run only.
select body from steps where id = :id and run = :run;

-- name: step_place
-- Where a cursor stands.
select seq as place from steps where id = :id and run = :run;

-- name: steps_asc
-- Keyset paging on (run, seq).
select seq, body from steps where run = :run and seq > :low and seq < :high order by seq limit :limit;

-- name: steps_desc
-- The same, newest first.
select seq, body from steps where run = :run and seq > :low and seq < :high order by seq desc limit :limit;

-- name: beat
-- One statement for all runs that a worker drives; a run that does not come back is no longer its own. What it owns
-- without driving it (the store failed it) is left to run out, for whoever claims it.
update runs set lease_until = :until where owner = :me and id in {texts:held}
  and status in ('queued', 'in_progress', 'cancelling')
returning id, cancel_requested;

-- name: claim
-- Runs that nobody drives, or whose worker has gone silent.
update runs set owner = :me, lease_until = :until where id in (
    select id from runs
    where status in ('queued', 'in_progress', 'cancelling') and waiting = 0 and lease_until < :now
    order by lease_until limit :limit {skip_locked})
returning id;

-- name: claim_one
-- A run that has just been given something to do.
update runs set owner = :me, lease_until = :until where id = :id and lease_until < :now
  and status in ('queued', 'in_progress', 'cancelling') and waiting = 0
returning id;

-- name: disown
-- A worker of this name that is gone (embedded: every worker but this one) holds nothing.
update runs set lease_until = 0, owner = null where owner is not null and lease_until > 0;

-- name: release
-- A worker ends in good order. Runs that are done, or wait for their caller, have no owner.
update runs set lease_until = 0, owner = null where owner = :me and status in ('queued', 'in_progress', 'cancelling');

-- name: expired
-- Runs past their time that no worker drives: the others look at their own clock.
select id from runs where status in ('queued', 'in_progress', 'requires_action', 'cancelling')
  and expires_at <= :now and lease_until < :now order by expires_at limit :limit;

-- name: lock_thread
-- A run that ends and one that gets in line take turns.
select 1 from threads where id = :thread {for_update};

-- name: next_in_line
-- The oldest run that waits for this thread, once nobody else has it.
select id, project from runs w where w.thread = :thread and w.waiting = 1 and w.status = 'queued'
  and not exists (select 1 from runs a where a.thread = w.thread and a.waiting = 0
                  and a.status in ('queued', 'in_progress', 'requires_action', 'cancelling'))
order by w.seq limit 1;

-- name: let_in
-- Its turn has come; any worker may take it.
update runs set waiting = 0, lease_until = 0 where id = :id and waiting = 1;

-- name: active_ids_of_thread
-- What a deleted thread still keeps busy.
select id from runs where thread = :thread and status in ('queued', 'in_progress', 'requires_action', 'cancelling');

-- name: steps_of_thread
-- All turns of a thread in which tools were called or messages written.
select seq, body from steps where thread = :thread order by seq;

-- name: all_of_thread
-- Every run, oldest first.
select seq, plan, body from runs where thread = :thread order by seq;
