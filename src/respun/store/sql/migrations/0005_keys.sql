-- A project owns everything; a key acts for one.
create table projects (
    id text primary key,
    name text not null
);
insert into projects (id, name) values ('default', 'default');

-- The key itself is nowhere: its hash finds it, its hint lets its owner recognise it.
create table keys (
    hash text primary key,
    id text not null unique,
    project text not null references projects (id),
    name text not null,
    hint text not null,
    created_at {float} not null,
    revoked_at {float},
    last_used_at {float}
);
