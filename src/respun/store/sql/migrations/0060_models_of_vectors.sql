-- When the embedding model changes, the vectors of the old one serve until the last file has new ones.
-- Of a store: whose vectors serve ('' is none: by words). A file's and a window's `next_*` are those of the model to come.
alter table vector_stores add column model text not null default '';
alter table vector_store_files add column next_model text not null default '';
alter table windows add column next_vector {blob};
update vector_stores set model = coalesce((select case when min(model) = max(model) then min(model) else '' end
    from vector_store_files where store = vector_stores.seq and status = 'completed'), '');
create index vector_store_files_models on vector_store_files (store, model) where status = 'completed';
create index vector_store_files_to_come on vector_store_files (store, next_model) where next_model <> '';

-- Where the models that were used are asked, so that an old one can be asked about its own vectors.
create table embedding_models (
    name text primary key,
    address text not null
);
