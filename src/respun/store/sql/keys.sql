-- name: insert
-- A key that was made before under the same hash is left as it is, so that a bootstrap can be repeated.
insert into keys (hash, id, project, name, hint, created_at)
values (:hash, :id, :project, :name, :hint, :created_at)
on conflict (hash) do nothing;

-- name: add_project
-- A project comes into being with its first key.
insert into projects (id, name) values (:id, :name) on conflict (id) do nothing;

-- name: find
-- By primary key, so the time it takes tells nothing about other keys.
select id, project, name, hint, created_at, revoked_at, last_used_at from keys where hash = :hash;

-- name: listed
-- In the order of creation; there are few.
select id, project, name, hint, created_at, revoked_at, last_used_at from keys order by created_at, id;

-- name: any_made
-- Counts revoked keys too: whoever made a key wants a server that asks for one.
select id from keys limit 1;

-- name: live
-- Any key that still opens something.
select id from keys where revoked_at is null limit 1;

-- name: revoke
-- The time of the first revocation stays.
update keys set revoked_at = :now where id = :id and revoked_at is null;

-- name: used
-- Written once a minute a key at most, see the gate in `web.auth`.
update keys set last_used_at = :now where id = :id;
