-- A long thread has an index for what its runs send; a short one is read whole and has none. Messages up to position
-- `upto` are in it as entries 1 to `last`; `size` and `tokens` are of those entries that are still there.
create table contexts (
    id {bigserial key},
    thread text not null unique,
    language text not null,
    upto {bigint} not null default 0,
    last {bigint} not null default 0,
    size {bigint} not null default 0,
    tokens {bigint} not null default 0
);

-- What a model reads of the thread, in order: a message, or of a step (`source`) its calls (`part` 0) and each result.
create table context_entries (
    context {bigint} not null,
    n {bigint} not null,
    source text not null,
    part {bigint} not null,
    role text not null,
    tokens {bigint} not null,
    flags {bigint} not null,
    day text not null,
    passages text not null,
    primary key (context, n)
) {without_rowid};
create index context_entries_of_source on context_entries (source, part);

-- Each term's entries by how much it says of them: a question reads only the best of each of its terms.
create table context_postings (
    context {bigint} not null,
    term text not null,
    impact {bigint} not null,
    n {bigint} not null,
    primary key (context, term, impact, n)
) {without_rowid};

create table context_terms (
    context {bigint} not null,
    term text not null,
    size {bigint} not null,
    primary key (context, term)
) {without_rowid};

-- What stands for ever: whole entries that were pinned (`force` 0), rules (1) and facts (2) as passages.
create table context_standing (
    context {bigint} not null,
    force {bigint} not null,
    n {bigint} not null,
    first {bigint} not null,
    last {bigint} not null,
    tokens {bigint} not null,
    primary key (context, force, n, first)
) {without_rowid};

-- Threads that many messages came to at once, and indexes that nothing refers to any more.
create table context_builds (
    thread text primary key
);
create table context_purges (
    context {bigint} primary key
);
