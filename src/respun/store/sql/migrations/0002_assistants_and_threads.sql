-- `seq` orders by creation: times have ties, and a cursor must not. Bodies are JSON text that comes back as written.
create table assistants (
    seq {bigserial key},
    id text not null unique,
    project text not null,
    created_at {float} not null,
    body text not null
);
create index assistants_of_project on assistants (project, seq);

-- `last_position` numbers the messages of a thread without a look at them.
create table threads (
    seq {bigserial key},
    id text not null unique,
    project text not null,
    created_at {float} not null,
    last_position {bigint} not null default 0,
    body text not null
);
create index threads_of_project on threads (project, seq);

-- A label is key and value of a thread's metadata, for lists by metadata that don't look at every thread.
create table thread_labels (
    project text not null,
    label text not null,
    place {bigint} not null,
    primary key (project, label, place)
);
create index thread_labels_of_thread on thread_labels (place);

create table messages (
    seq {bigserial key},
    id text not null unique,
    thread text not null,
    position {bigint} not null,
    run text,
    body text not null,
    unique (thread, position)
);
create index messages_of_run on messages (run, position) where run is not null;

-- Where a deleted object stood in its list, so that a cursor on it still works.
create table tombstones (
    id text primary key,
    scope text not null,
    place {bigint} not null
);

-- Deleted threads whose messages, runs, steps and events are still to be removed, a few at a time.
create table purges (
    thread text primary key
);
