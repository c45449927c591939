-- name: insert
-- The words are indexed under `seq`.
insert into memories (id, project, assistant, person, updated_at, words, body)
values (:id, :project, :assistant, :person, :updated_at, :words, :body) returning seq;

-- name: get
-- Of another assistant it is as unknown as one that never was.
select seq, body from memories where id = :id and project = :project and assistant = :assistant;

-- name: update
-- The body is written whole; a vector of the text before it no longer fits.
update memories set body = :body, words = :words, updated_at = :updated_at, embedded = '' where id = :id;

-- name: delete
-- Its words are forgotten first.
delete from memories where id = :id;

-- name: page
-- Newest first. `everyone` is 1 where memories of all people are wanted.
select seq, body from memories
where project = :project and assistant = :assistant and (:everyone = 1 or person = :person)
order by seq desc limit :limit offset :offset;

-- name: totals
-- How many there are, and when one of them last changed.
select count(*) as total, max(updated_at) as updated_at from memories
where project = :project and assistant = :assistant and (:everyone = 1 or person = :person);

-- name: count
-- From the index alone: a search asks for it each time.
select count(*) as total from memories where project = :project and assistant = :assistant;

-- name: some
-- For a wipe, a few at a time.
select seq, id, body from memories where project = :project and assistant = :assistant limit :limit;

-- name: add_term
-- One row a word.
insert into memory_terms (assistant, term, memory, person) values (:assistant, :term, :memory, :person);

-- name: drop_terms
-- Before new ones are written, and when the memory goes.
delete from memory_terms where memory = :memory;

-- name: frequencies
-- How many memories of the assistant each word is in.
select term, count(*) as total from memory_terms where assistant = :assistant and term in {texts:terms} group by term;

-- name: postings
-- Memories with any of the words, of the person and of nobody in particular.
select term, memory from memory_terms
where assistant = :assistant and term in {texts:terms} and (:everyone = 1 or person = :person or person = '')
limit :limit;

-- name: bodies
-- The best of them.
select seq, words, body from memories where seq in {integers:seqs} and project = :project;

-- name: add_operation
-- In the transaction that makes the run, or the message, which it is about.
insert into memory_operations (id, project, assistant, person, thread, run, status, body)
values (:id, :project, :assistant, :person, :thread, :run, :status, :body);

-- name: operation
-- Of another project it is as unknown as one that never was.
select body from memory_operations where id = :id and project = :project;

-- name: open_operations
-- What was said and is not remembered yet, newest first.
select body from memory_operations
where assistant = :assistant and person = :person and project = :project and thread <> :thread
  and status in ('pending', 'in_progress')
order by seq desc limit :limit;

-- name: any_open
-- Whether there will be something to do.
select 1 as one from memory_operations where status in ('pending', 'in_progress') limit 1;

-- name: claim_operation
-- The oldest whose run is done, and that nobody does or whose worker went silent; one a person at a time, in order.
update memory_operations set status = 'in_progress', owner = :me, lease_until = :until
where seq = (
  select o.seq from memory_operations o
  where o.status in ('pending', 'in_progress') and o.lease_until < :now
    and not exists (select 1 from runs r where r.id = o.run
                    and r.status in ('queued', 'in_progress', 'requires_action', 'cancelling'))
    and not exists (select 1 from memory_operations b where b.assistant = o.assistant and b.person = o.person
                    and b.status = 'in_progress' and b.lease_until >= :now)
  order by o.seq limit 1)
returning project, body;

-- name: finish_operation
-- Only by whoever still has it. One that failed comes again `until` then.
update memory_operations set status = :status, body = :body, owner = null, lease_until = :until
where id = :id and owner = :me;

-- name: drop_operations
-- With the memories of an assistant.
delete from memory_operations where project = :project and assistant = :assistant
  and status in ('pending', 'in_progress');
