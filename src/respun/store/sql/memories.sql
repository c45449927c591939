-- name: insert
-- The words are indexed under `seq`.
insert into memories (id, project, assistant, person, updated_at, body)
values (:id, :project, :assistant, :person, :updated_at, :body) returning seq;

-- name: get
-- Of another assistant it is as unknown as one that never was.
select seq, body from memories where id = :id and project = :project and assistant = :assistant;

-- name: update
-- The body is written whole.
update memories set body = :body, updated_at = :updated_at where id = :id;

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

-- name: some
-- For a wipe, a few at a time.
select seq, id, body from memories where project = :project and assistant = :assistant limit :limit;

-- name: index_words (sqlite)
-- `words` are already split and folded by core, alike for both databases.
insert into memory_words (rowid, words) values (:seq, :words);

-- name: index_words (postgres)
-- They are lexemes as they are.
insert into memory_words (seq, words) values (:seq, array_to_tsvector(string_to_array(cast(:words as text), ' ')));

-- name: forget_words (sqlite)
-- An index without content is told again what it is to forget.
insert into memory_words (memory_words, rowid, words) values ('delete', :seq, :words);

-- name: forget_words (postgres)
-- Its row goes by itself with the memory's; this serves a memory that gets new words.
delete from memory_words where seq = :seq and cast(:words as text) is not null;

-- name: candidates (sqlite)
-- Any of the words will do; core weighs what is found.
select m.body from memory_words w join memories m on m.seq = w.rowid
where w.memory_words match replace(:match, ' ', ' OR ') and m.project = :project and m.assistant = :assistant
  and (:everyone = 1 or m.person = :person or m.person = '')
order by w.rank limit :limit;

-- name: candidates (postgres)
-- The same, by the rank of this database.
select m.body from memory_words w join memories m on m.seq = w.seq,
  cast('''' || replace(cast(:match as text), ' ', ''' | ''') || '''' as tsquery) q
where w.words @@ q and m.project = :project and m.assistant = :assistant
  and (:everyone = 1 or m.person = :person or m.person = '')
order by ts_rank(w.words, q) desc limit :limit;

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
