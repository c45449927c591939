-- name: claim
-- Files that nobody reads, or whose worker has gone silent.
update vector_store_files set owner = :me, lease_until = :until, attempts = attempts + 1 where seq in (
    select seq from vector_store_files where status = 'in_progress' and lease_until < :now
    order by lease_until limit :limit {skip_locked})
returning seq;

-- name: claim_outdated
-- Files whose vectors another model made, or none: they can be found all the while.
update vector_store_files set owner = :me, lease_until = :until, attempts = attempts + 1 where seq in (
    select seq from vector_store_files where status = 'completed' and model <> :model and lease_until < :now
    order by lease_until limit :limit {skip_locked})
returning seq;

-- name: load
-- All that a worker needs to know.
select seq, store, file, project, status, attempts, owner, model, usage, body from vector_store_files where seq = :entry;

-- name: hold
-- The fence: who lost the lease, or whose file was taken away, stores nothing.
select seq from vector_store_files where seq = :entry and owner = :me and status = :status {for_update};

-- name: beat
-- One statement for all files of a worker.
update vector_store_files set lease_until = :until where owner = :me;

-- name: disown
-- Workers of a store that one process uses are gone when it starts.
update vector_store_files set owner = null, lease_until = 0 where owner is not null;

-- name: let_go
-- For whoever comes next, not before `later`.
update vector_store_files set owner = null, lease_until = :later where seq = :entry and owner = :me;

-- name: finish
-- Seen by searches from this change on.
update vector_store_files
set status = :status, usage = :usage, model = :model, change = :change, body = :body, owner = null, lease_until = 0,
    attempts = 0
where seq = :entry;

-- name: clear_chunks
-- A worker that died may have left some.
delete from chunks where entry = :entry;

-- name: clear_windows
-- As above.
delete from windows where entry = :entry;

-- name: insert_chunk
-- Some hundred a transaction.
insert into chunks (store, number, entry, first, behind, page, last_page, body)
values (:store, :number, :entry, :first, :behind, :page, :last_page, :body);

-- name: insert_window
-- As above.
insert into windows (store, number, entry, chunk, other, first, behind, tokens, vector)
values (:store, :number, :entry, :chunk, :other, :first, :behind, :tokens, :vector);

-- name: set_vector
-- By another model.
update windows set vector = :vector where store = :store and number = :number;

-- name: windows_of_entry
-- In order, some at a time, with the text that they are cut from.
select w.number, w.chunk, w.other, w.first, w.behind, w.tokens, w.vector, c.first as chunk_first, c.body
from windows w join chunks c on c.store = w.store and c.number = w.chunk
where w.entry = :entry and w.number > :after order by w.number limit :limit;

-- name: any_completed
-- Whether the embedding model is of use at all: it is not fetched for nothing.
select 1 as found from vector_store_files where status = 'completed' limit 1;
