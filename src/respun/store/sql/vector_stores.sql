-- name: insert
-- The database gives `seq`, under which the rows of the store are kept.
insert into vector_stores (id, project, last_active_at, body) values (:id, :project, :last_active_at, :body)
returning seq;

-- name: get
-- An id of another project is as unknown as one that never was.
select seq, last_active_at, change, model, body from vector_stores where id = :id and project = :project;

-- name: lock
-- For a change of what is in it: counts and numbers follow each other.
select seq, last_active_at, change, model, body from vector_stores where id = :id and project = :project {for_update};

-- name: update
-- The body is written whole.
update vector_stores set body = :body where seq = :store;

-- name: touch
-- It was used.
update vector_stores set last_active_at = :now where seq = :store and last_active_at < :now;

-- name: delete
-- What belongs to it follows in the same transaction, its chunks afterwards.
delete from vector_stores where id = :id and project = :project returning seq;

-- name: place
-- Where a cursor stands.
select seq as place from vector_stores where id = :id and project = :project;

-- name: page_asc
-- Keyset paging between two places.
select seq, last_active_at, change, model, body from vector_stores
where project = :project and seq > :low and seq < :high order by seq limit :limit;

-- name: page_desc
-- The same, newest first.
select seq, last_active_at, change, model, body from vector_stores
where project = :project and seq > :low and seq < :high order by seq desc limit :limit;

-- name: counts
-- Counted, not kept, so that they can't be wrong: an index holds all that is needed.
select store, status, count(*) as files, cast(sum(usage) as bigint) as usage from vector_store_files
where store in {integers:stores} group by store, status;

-- name: batch_counts
-- The same for the files that came with a batch.
select status, count(*) as files, cast(sum(usage) as bigint) as usage from vector_store_files
where batch = :batch group by status;

-- name: bump
-- What can be found has changed; whoever changes it holds the row until it commits.
update vector_stores set change = change + 1 where seq = :store returning change;

-- name: take_numbers
-- Numbers for new chunks and windows.
update vector_stores set last_chunk = last_chunk + :chunks, last_window = last_window + :windows where seq = :store
returning last_chunk, last_window;

-- name: insert_file
-- Anybody may take the job at once.
insert into vector_store_files (store, file, project, batch, status, attributed, body)
values (:store, :file, :project, :batch, 'in_progress', :attributed, :body) returning seq;

-- name: get_file
-- A file is found in its store only.
select seq, status, usage, body from vector_store_files where store = :store and file = :file;

-- name: of_file
-- Where a file was put first.
select seq, status, usage, body from vector_store_files where file = :file and project = :project order by seq limit 1;

-- name: files_among
-- Which of these files the store has.
select file, seq, status, usage, body from vector_store_files where store = :store and file in {texts:files};

-- name: count_files
-- For the limit.
select count(*) as files from vector_store_files where store = :store;

-- name: put_body
-- Attributes, or why it failed.
update vector_store_files set body = :body, attributed = :attributed where seq = :entry;

-- name: join_batch
-- It was there already; the batch counts it too.
update vector_store_files set batch = :batch where seq = :entry;

-- name: delete_file
-- Its chunks follow afterwards.
delete from vector_store_files where seq = :entry;

-- name: stores_of_file
-- Where a deleted file must be taken out.
select store, seq from vector_store_files where file = :file;

-- name: file_place
-- Where a cursor stands.
select seq as place from vector_store_files where store = :store and file = :id;

-- name: files_asc
-- Keyset paging on (store, seq); filters are checked row by row, the page ends the walk.
select seq, file, status, usage, body from vector_store_files
where store = :store and seq > :low and seq < :high
  and (:batch = '' or batch = :batch) and (:status = '' or status = :status) order by seq limit :limit;

-- name: files_desc
-- The same, newest first.
select seq, file, status, usage, body from vector_store_files
where store = :store and seq > :low and seq < :high
  and (:batch = '' or batch = :batch) and (:status = '' or status = :status) order by seq desc limit :limit;

-- name: attributes
-- For filters: only files that have any.
select seq, body from vector_store_files where store = :store and status = 'completed' and attributed = 1;

-- name: entries
-- The files that passages come from.
select seq, file, status, usage, body from vector_store_files where seq in {integers:entries};

-- name: entries_of_store
-- All of a store that is deleted.
select seq from vector_store_files where store = :store;

-- name: delete_files
-- With their store.
delete from vector_store_files where store = :store;

-- name: delete_batches
-- With their store.
delete from file_batches where store = :store;

-- name: delete_removals
-- Nobody asks any more.
delete from vector_store_removals where store = :store;

-- name: remember_removal
-- For indexes that hold the entry.
insert into vector_store_removals (store, change, entry) values (:store, :change, :entry);

-- name: removed_since
-- What an index must drop.
select entry from vector_store_removals where store = :store and change > :after and change <= :upto;

-- name: changed_since
-- What an index must take in.
select seq from vector_store_files where store = :store and status = 'completed' and change > :after and change <= :upto;

-- name: standing
-- What an index of the store must hold by now.
select change, model from vector_stores where seq = :store;

-- name: hold
-- Of two workers that finish the last two files, the second must see what the first did.
select model from vector_stores where seq = :store {for_update};

-- name: model_to_come
-- One that some files have vectors of, and that does not serve yet.
select next_model as model from vector_store_files where store = :store and next_model <> ''
union select f.model from vector_store_files f join vector_stores s on s.seq = f.store
where f.store = :store and f.status = 'completed' and (f.model < s.model or f.model > s.model) limit 1;

-- name: switch_model
-- From the last file on: at once, for everybody.
update vector_stores set model = :model where seq = :store and model <> :model and not exists (
    select 1 from vector_store_files where store = :store and status = 'completed'
    and (model < :model or model > :model) and next_model <> :model);

-- name: vector_of_store
-- For the length of a model's vectors.
select case when f.model = :model then w.vector else w.next_vector end as vector
from vector_store_files f join windows w on w.entry = f.seq
where f.store = :store and f.status = 'completed' and (f.model = :model or f.next_model = :model) limit 1;

-- name: insert_batch
-- As it came.
insert into file_batches (id, store, created_at) values (:id, :store, :created_at);

-- name: get_batch
-- A batch is found in its store only.
select created_at, cancelled from file_batches where id = :id and store = :store;

-- name: cancel_batch
-- It stays so.
update file_batches set cancelled = 1 where id = :id and store = :store;

-- name: cancel_files
-- Those that are read just now see it when they want to store what they read.
update vector_store_files set status = 'cancelled', owner = null, lease_until = 0
where batch = :batch and status = 'in_progress';

-- name: to_purge
-- Remembered in the transaction that drops the entry.
insert into entry_purges (entry) values (:entry) on conflict do nothing;

-- name: next_purge
-- One at a time.
select entry from entry_purges limit 1;

-- name: purged
-- Nothing of it is left.
delete from entry_purges where entry = :entry;

-- name: purge_windows
-- A few rows a transaction, so that no other write waits long.
delete from windows where entry = :entry and number in
    (select number from windows where entry = :entry order by number limit :limit);

-- name: purge_chunks
-- As above.
delete from chunks where entry = :entry and number in
    (select number from chunks where entry = :entry order by number limit :limit);

-- name: chunks_of_entry
-- The text of a file, in order; chunks repeat the end of the one before.
select number, first, behind, page, last_page, body from chunks
where entry = :entry and number > :after order by number limit :limit;

-- name: chunks_numbered
-- What a search found.
select number, entry, first, behind, page, last_page, body from chunks
where store = :store and number in {integers:numbers};
