-- name: insert
-- The database gives `seq`, the order of creation.
insert into assistants (id, project, created_at, body) values (:id, :project, :created_at, :body);

-- name: get
-- An id of another project is as unknown as one that never was.
select body from assistants where id = :id and project = :project;

-- name: update
-- The body is written whole.
update assistants set body = :body where id = :id and project = :project;

-- name: delete
-- Its place stays behind as a tombstone.
delete from assistants where id = :id and project = :project returning seq;

-- name: place
-- Where a cursor stands.
select seq as place from assistants where id = :id and project = :project;

-- name: page_asc
-- Keyset paging between two places: flat at any length, which OFFSET is not.
select seq, body from assistants where project = :project and seq > :low and seq < :high order by seq limit :limit;

-- name: page_desc
-- The same, newest first.
select seq, body from assistants where project = :project and seq > :low and seq < :high order by seq desc limit :limit;

-- name: bury
-- A cursor may name an object that was deleted since.
insert into tombstones (id, scope, place) values (:id, :scope, :place) on conflict (id) do nothing;

-- name: buried
-- Only in the list where it stood.
select place from tombstones where id = :id and scope = :scope;
