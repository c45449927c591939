-- Facts that belong to an assistant. `person` keeps people apart who share one; '' is nobody in particular.
-- `words`, already split and folded by core, are what it is found by.
create table memories (
    seq {bigserial key},
    id text not null unique,
    project text not null,
    assistant text not null,
    person text not null,
    updated_at {float} not null,
    words text not null,
    body text not null
);
create index memories_of_assistant on memories (project, assistant, seq);

-- Which memories a word is in. The key holds all that a search reads.
create table memory_terms (
    assistant text not null,
    term text not null,
    memory {bigint} not null,
    person text not null,
    primary key (assistant, term, memory, person)
);
create index memory_terms_of_memory on memory_terms (memory);

-- What was said and is to be remembered, or has been: who does it (`owner`, until `lease_until`) and what came of it.
create table memory_operations (
    seq {bigserial key},
    id text not null unique,
    project text not null,
    assistant text not null,
    person text not null,
    thread text not null,
    run text,
    status text not null,
    owner text,
    lease_until {float} not null default 0,
    body text not null
);
create index memory_operations_open on memory_operations (assistant, person)
    where status in ('pending', 'in_progress');
create index memory_operations_to_do on memory_operations (seq) where status in ('pending', 'in_progress');
