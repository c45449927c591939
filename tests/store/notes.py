"""A small schema and its statements, for tests of the backends themselves."""

from respun.store.backend import Tx
from respun.store.migrations import Migration
from respun.store.statements import parse

_SCHEMA = """
create table notes (
    seq {bigserial key},
    thread text not null,
    place bigint not null check (place >= 0),
    body text,
    bytes {blob},
    weight {float},
    done {boolean} not null default false,
    extra {json},
    unique (thread, place)
);
create unique index notes_one_open on notes (thread) where not done and place = 0;
create table marks (note bigint not null references notes (seq) on delete cascade, name text primary key);
"""
MIGRATIONS = [Migration(1, "notes", _SCHEMA, _SCHEMA)]

sql = parse(
    """
-- name: add
-- The plain insert, which a unit may see fail.
insert into notes (thread, place, body, bytes, weight, done, extra)
values (:thread, :place, :body, :bytes, :weight, :done, :extra) returning seq;

-- name: put
-- As few columns as a message needs.
insert into notes (thread, place, body, done) values (:thread, :place, :body, true);

-- name: at
-- By its place.
select * from notes where thread = :thread and place = :place;

-- name: page
-- Keyset paging; the first page has no cursor.
select seq, place, body from notes where thread = :thread and place > coalesce(cast(:after as bigint), -1) -- the cursor
order by place limit :limit;

-- name: among
-- Both kinds of list.
select place from notes where thread in {texts:threads} and place in {integers:places} order by place;

-- name: everything
-- What was stored at all.
select thread, place from notes;

-- name: count
-- All of them.
select count(*) as total, sum(place) as places from notes;

-- name: move
-- Every note of a thread.
update notes set thread = :there where thread = :thread;

-- name: move_through_a_query
-- A driver may not count what begins with `with`.
with chosen as (select seq from notes where thread = :thread)
update notes set thread = :there where seq in (select seq from chosen);

-- name: claim
-- Two workers never get one note.
update notes set done = true where seq in
    (select seq from notes where not done order by seq limit :most {skip_locked}) returning seq;

-- name: clear
-- Gives room back.
delete from notes where thread = :thread;

-- name: mark
-- Names a note.
insert into marks (note, name) values (:note, :name);

-- name: now
-- Seconds since 1970.
select {now} as now;

-- name: stretch (sqlite)
-- Takes as long as it is allowed to.
with recursive n(i) as (select 1 union all select i + 1 from n where i < 500000000) select count(*) from n;

-- name: stretch (postgres)
-- Takes as long as it is allowed to.
select count(*) from generate_series(1, 500000000);
""",
    "notes.py",
)


async def count(tx: Tx) -> int:
    row = await tx.one(sql.count)
    assert row is not None
    return int(row["total"])


async def put(tx: Tx, thread: str, place: int, body: str = "") -> None:
    await tx.run(sql.put, thread=thread, place=place, body=body)
