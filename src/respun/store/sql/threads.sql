-- name: insert
-- The database gives `seq`, the order of creation, which labels refer to.
insert into threads (id, project, created_at, assistant, body) values (:id, :project, :created_at, :assistant, :body)
returning seq;

-- name: get
-- An id of another project is as unknown as one that never was.
select body from threads where id = :id and project = :project;

-- name: exists
-- The cheap half of `get`.
select seq from threads where id = :id and project = :project;

-- name: update
-- The body is written whole; labels follow it.
update threads set body = :body where id = :id and project = :project returning seq;

-- name: delete
-- What belongs to the thread is removed afterwards, a few rows at a time.
delete from threads where id = :id and project = :project returning seq;

-- name: place
-- Where a cursor stands.
select seq as place from threads where id = :id and project = :project;

-- name: add_label
-- A thread has a label once.
insert into thread_labels (project, label, place) values (:project, :label, :place) on conflict do nothing;

-- name: drop_labels
-- Before new ones are written, and when the thread goes.
delete from thread_labels where place = :place;

-- name: page_asc
-- All filters but the first label are checked row by row: the page ends the walk.
select t.seq, t.body from threads t
where t.project = :project and t.seq > :low and t.seq < :high
  and t.created_at >= :created_from and t.created_at < :created_to
  and (:assistant = '' or t.assistant = :assistant
       or exists (select 1 from runs r where r.assistant = :assistant and r.thread = t.id))
order by t.seq limit :limit;

-- name: page_desc
-- The same, newest first.
select t.seq, t.body from threads t
where t.project = :project and t.seq > :low and t.seq < :high
  and t.created_at >= :created_from and t.created_at < :created_to
  and (:assistant = '' or t.assistant = :assistant
       or exists (select 1 from runs r where r.assistant = :assistant and r.thread = t.id))
order by t.seq desc limit :limit;

-- name: page_labelled_asc
-- Walks the index of one label; the other labels must all be there.
select t.seq, t.body from thread_labels l join threads t on t.seq = l.place
where l.project = :project and l.label = :label and l.place > :low and l.place < :high
  and t.created_at >= :created_from and t.created_at < :created_to
  and (:assistant = '' or t.assistant = :assistant
       or exists (select 1 from runs r where r.assistant = :assistant and r.thread = t.id))
  and (select count(*) from thread_labels o
       where o.project = :project and o.place = l.place and o.label in {texts:others}) = :others_count
order by l.place limit :limit;

-- name: page_labelled_desc
-- The same, newest first.
select t.seq, t.body from thread_labels l join threads t on t.seq = l.place
where l.project = :project and l.label = :label and l.place > :low and l.place < :high
  and t.created_at >= :created_from and t.created_at < :created_to
  and (:assistant = '' or t.assistant = :assistant
       or exists (select 1 from runs r where r.assistant = :assistant and r.thread = t.id))
  and (select count(*) from thread_labels o
       where o.project = :project and o.place = l.place and o.label in {texts:others}) = :others_count
order by l.place desc limit :limit;

-- name: to_purge
-- Remembered in the transaction that deletes the thread.
insert into purges (thread) values (:thread) on conflict do nothing;

-- name: next_purge
-- One thread at a time.
select thread from purges limit 1;

-- name: purged
-- Nothing of it is left.
delete from purges where thread = :thread;

-- name: purge_runs
-- A few rows a transaction, so that no other write waits long.
delete from runs where seq in (select seq from runs where thread = :thread limit :limit);

-- name: purge_steps
-- As above.
delete from steps where seq in (select seq from steps where thread = :thread limit :limit);

-- name: purge_events
-- Events have no number of their own: all those of a few runs go together.
delete from run_events where thread = :thread
  and run in (select distinct run from run_events where thread = :thread limit :limit);

-- name: of_assistant
-- Those that were made under it, a few at a time.
select id from threads where project = :project and assistant = :assistant order by seq limit :limit;
