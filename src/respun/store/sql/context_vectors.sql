-- name: state
-- None while no run has asked for vectors of the thread.
select model, dims, upto, wanted from context_meanings where context = :context;

-- name: want
-- A run asks; vectors of another model are made again.
insert into context_meanings (context, model, dims, upto, wanted, lease_until) values (:context, :model, :dims, 0, 1, 0)
on conflict (context) do update set wanted = 1;

-- name: want_more
-- The index of the thread has grown.
update context_meanings set wanted = 1 where context = :context and wanted = 0;

-- name: any_wanted
-- Whether there may be something to do.
select 1 as one from context_meanings where wanted = 1 limit 1;

-- name: claim
-- What nobody does, or whose worker went silent.
update context_meanings set owner = :me, lease_until = :until where context in (
    select context from context_meanings where wanted = 1 and lease_until < :now
    order by lease_until limit 1 {skip_locked})
returning context, model, dims, upto;

-- name: hold
-- The fence: who lost the lease, or whose thread is gone, stores nothing.
update context_meanings set lease_until = :until where context = :context and owner = :me;

-- name: restart
-- Another model than before.
update context_meanings set model = :model, dims = :dims, upto = 0 where context = :context and owner = :me;

-- name: advance
-- After the vectors of the entries up to `upto` are stored.
update context_meanings set upto = :upto where context = :context and owner = :me;

-- name: let_go
-- Not before `later` again. Entries that came meanwhile keep it wanted.
update context_meanings set owner = null, lease_until = :later, wanted = case when :done = 1 and not exists (
    select 1 from contexts c where c.id = context_meanings.context and c.last > context_meanings.upto)
    then 0 else 1 end
where context = :context and owner = :me;

-- name: disown
-- Workers of a store that one process uses are gone when it starts.
update context_meanings set owner = null, lease_until = 0 where owner is not null;

-- name: index
-- None when the index was dropped.
select id, thread, language, upto, last, size, tokens from contexts where id = :context;

-- name: there
-- Which of these entries were not deleted.
select n from context_entries where context = :context and n in {integers:ns};

-- name: following
-- The next entries, oldest first; calls have no text.
select n, role, flags from context_entries where context = :context and n > :n order by n limit :limit;

-- name: put
-- Again where another model's stand.
insert into context_vectors (context, n, vectors) values (:context, :n, :vectors)
on conflict (context, n) do update set vectors = excluded.vectors;

-- name: newest
-- Back to `after`, newest first; a page of them.
select n, vectors from context_vectors where context = :context and n > :after and n <= :upto
order by n desc limit :limit;

-- name: drop
-- Of one entry.
delete from context_vectors where context = :context and n = :n;

-- name: purge_state
-- The index was dropped.
delete from context_meanings where context = :context;

-- name: purge
-- A few rows a transaction, so that no other write waits long.
delete from context_vectors where context = :context and n in (
    select v.n from context_vectors v where v.context = :context limit :limit);
