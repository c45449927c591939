-- `change` counts what changes the answers of a search; the `last_` columns number the rows of the store.
create table vector_stores (
    seq {bigserial key},
    id text not null unique,
    project text not null,
    last_active_at {float} not null,
    change {bigint} not null default 0,
    last_chunk {bigint} not null default 0,
    last_window {bigint} not null default 0,
    body text not null
);
create index vector_stores_of_project on vector_stores (project, seq);

-- A file in a store; while it is in progress the row is its job, held by `owner` until `lease_until`.
-- `model` made its vectors, `change` is the store's when they were last written.
create table vector_store_files (
    seq {bigserial key},
    store {bigint} not null,
    file text not null,
    project text not null,
    batch text,
    status text not null,
    usage {bigint} not null default 0,
    change {bigint} not null default 0,
    model text not null default '',
    attempts {bigint} not null default 0,
    owner text,
    lease_until {float} not null default 0,
    attributed {bigint} not null default 0,
    body text not null,
    unique (store, file)
);
create index vector_store_files_of_store on vector_store_files (store, seq);
create index vector_store_files_counted on vector_store_files (store, status, usage);
create index vector_store_files_changed on vector_store_files (store, change);
create index vector_store_files_of_batch on vector_store_files (batch, status) where batch is not null;
create index vector_store_files_of_file on vector_store_files (file);
create index vector_store_files_to_do on vector_store_files (lease_until) where status = 'in_progress';
create index vector_store_files_of_model on vector_store_files (model, lease_until) where status = 'completed';
create index vector_store_files_owned on vector_store_files (owner) where owner is not null;

create table file_batches (
    seq {bigserial key},
    id text not null unique,
    store {bigint} not null,
    created_at {float} not null,
    cancelled {bigint} not null default 0
);
create index file_batches_of_store on file_batches (store);

-- What a search answers with. `number` is the chunk's in its store, `first` and `behind` are characters of the text.
create table chunks (
    store {bigint} not null,
    number {bigint} not null,
    entry {bigint} not null,
    first {bigint} not null,
    behind {bigint} not null,
    page {bigint},
    last_page {bigint},
    body text not null,
    primary key (store, number)
);
create index chunks_of_entry on chunks (entry, number);

-- What is embedded: a piece of one chunk, or of two. Its text is cut out of the chunk.
create table windows (
    store {bigint} not null,
    number {bigint} not null,
    entry {bigint} not null,
    chunk {bigint} not null,
    other {bigint},
    first {bigint} not null,
    behind {bigint} not null,
    tokens {bigint} not null,
    vector {blob} not null,
    primary key (store, number)
);
create index windows_of_entry on windows (entry, number);

-- Entries that left a store at a change of it, for indexes that still hold them.
create table vector_store_removals (
    store {bigint} not null,
    change {bigint} not null,
    entry {bigint} not null,
    primary key (store, change, entry)
);

-- Entries whose chunks and windows are still to be removed, a few at a time.
create table entry_purges (
    entry {bigint} primary key
);
