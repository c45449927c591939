-- name: pending
-- Memories without a vector of the model, newest first: they are what is asked for next. Two ranges of one index.
select seq, updated_at, body from memories where embedded < :model or embedded > :model
order by seq desc limit :limit;

-- name: any
-- Whether a model is needed at all.
select 1 as one from memories limit 1;

-- name: mark
-- Not if it was changed while its vector was made.
update memories set embedded = :model where seq = :memory and updated_at = :updated_at;

-- name: drop_vector
-- Its text is another now, or it is gone.
delete from memory_vectors where memory = :memory;

-- name: insert
-- Little-endian float16.
insert into memory_vectors (memory, assistant, person, model, vector)
values (:memory, :assistant, :person, :model, :vector);

-- name: extent
-- Whether what a server holds of an assistant is still all there is.
select count(*) as total, max(seq) as newest from memory_vectors where assistant = :assistant and model = :model;

-- name: after
-- Those written since.
select seq, memory, person, vector from memory_vectors
where assistant = :assistant and model = :model and seq > :after order by seq;
