-- name: claim
-- Files that nobody reads, or whose worker has gone silent.
update vector_store_files set owner = :me, lease_until = :until, attempts = attempts + 1 where seq in (
    select seq from vector_store_files where status = 'in_progress' and lease_until < :now
    order by lease_until limit :limit {skip_locked})
returning seq;

-- name: claim_outdated
-- Files whose vectors another model made, or none: they can be found all the while. Those whose next vectors serve
-- already are settled first.
update vector_store_files set owner = :me, lease_until = :until, attempts = attempts + 1 where seq in (
    select seq from vector_store_files f where status = 'completed' and (model < :model or model > :model)
    and next_model <> :model and lease_until < :now
    and (next_model = '' or next_model <> (select s.model from vector_stores s where s.seq = f.store))
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
set status = :status, usage = :usage, model = :model, next_model = '', change = :change, body = :body, owner = null, lease_until = 0,
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

-- name: begin_again
-- What another model left half done does not count any more.
update vector_store_files set next_model = '' where seq = :entry;

-- name: set_next_vector
-- By the model to come.
update windows set next_vector = :vector where store = :store and number = :number;

-- name: finish_again
-- The vectors are there. They serve once all files have theirs; where they serve already, searches are told.
update vector_store_files
set next_model = :model, change = coalesce(nullif(cast(:change as bigint), 0), change), owner = null, lease_until = 0,
    attempts = 0
where seq = :entry;

-- name: next_to_settle
-- A file whose next vectors serve, but are not in their place yet.
select f.seq as entry from vector_store_files f join vector_stores s on s.seq = f.store
where f.next_model <> '' and f.next_model = s.model and f.owner is null limit 1;

-- name: settle_windows
-- The old vectors go.
update windows set vector = next_vector, next_vector = null where entry = :entry and next_vector is not null;

-- name: settle_file
-- In the same transaction.
update vector_store_files set model = next_model, next_model = '' where seq = :entry and next_model <> '';

-- name: remember_model
-- Where it was last asked.
insert into embedding_models (name, address) values (:name, :address)
on conflict (name) do update set address = excluded.address;

-- name: address_of_model
-- As above.
select address from embedding_models where name = :name;

-- name: windows_of_entry
-- In order, some at a time, with the text that they are cut from, and the vectors of a model where they have them.
select w.number, w.chunk, w.other, w.first, w.behind, w.tokens, c.first as chunk_first, c.body,
    case when f.model = :model then w.vector when f.next_model = :model then w.next_vector end as vector
from windows w join chunks c on c.store = w.store and c.number = w.chunk join vector_store_files f on f.seq = w.entry
where w.entry = :entry and w.number > :after order by w.number limit :limit;

-- name: any_completed
-- Whether the embedding model is of use at all: it is not fetched for nothing.
select 1 as found from vector_store_files where status = 'completed' limit 1;
