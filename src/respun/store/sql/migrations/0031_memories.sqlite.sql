-- Facts that belong to an assistant. `person` keeps people apart who share one; '' is nobody in particular.
create table memories (
    seq integer primary key autoincrement,
    id text not null unique,
    project text not null,
    assistant text not null,
    person text not null,
    updated_at real not null,
    body text not null
);
create index memories_of_assistant on memories (project, assistant, seq);

-- Words of memories for full-text search; the text itself stays in the memory.
create virtual table memory_words using fts5 (words, content = '', tokenize = "unicode61 remove_diacritics 0");

-- What was said and is to be remembered, or has been: who does it (`owner`, until `lease_until`) and what came of it.
create table memory_operations (
    seq integer primary key autoincrement,
    id text not null unique,
    project text not null,
    assistant text not null,
    person text not null,
    thread text not null,
    run text,
    status text not null,
    owner text,
    lease_until real not null default 0,
    body text not null
);
create index memory_operations_open on memory_operations (assistant, person)
    where status in ('pending', 'in_progress');
create index memory_operations_to_do on memory_operations (seq) where status in ('pending', 'in_progress');
