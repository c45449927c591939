-- Which model made the vector of a memory; '' while it has none that fits its text.
alter table memories add column embedded text not null default '';
create index memories_by_model on memories (embedded, seq);

-- What memories are near to a question by. `seq` grows with every vector that is written: a server reads only new ones.
create table memory_vectors (
    seq {bigserial key},
    memory {bigint} not null unique,
    assistant text not null,
    person text not null,
    model text not null,
    vector {blob} not null
);
create index memory_vectors_of_assistant on memory_vectors (assistant, model, seq);
