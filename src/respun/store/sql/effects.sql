-- name: hold (sqlite)
-- One writer at a time: nothing to hold.
select 1 where :fingerprint <> '';

-- name: hold (postgres)
-- Equal requests one after the other, each seeing what the one before it made.
select 1 from (select pg_advisory_xact_lock(hashtextextended(cast(:fingerprint as text), 0))) held;

-- name: find
-- What an equal request made before, if that was not long ago.
select made, by_retry from effects where fingerprint = :fingerprint and at > :since;

-- name: note
-- The newest of equal requests counts.
insert into effects (fingerprint, at, by_retry, made) values (:fingerprint, :at, :by_retry, :made)
on conflict (fingerprint) do update set at = excluded.at, by_retry = excluded.by_retry, made = excluded.made;

-- name: settle
-- The original of an early retry has come: the next equal request is a new one.
update effects set by_retry = 0 where fingerprint = :fingerprint;

-- name: forget_effects
-- A few at a time.
delete from effects where fingerprint in (select fingerprint from effects where at < :before limit :limit);

-- name: claim
-- The first request with a key goes on; the others find its row.
insert into kept_answers (key, fingerprint, worker, at) values (:key, :fingerprint, :worker, :at)
on conflict (key) do nothing returning key;

-- name: answer
-- What the first request with this key was answered, or by whom it is being answered.
select fingerprint, worker, at, status, body from kept_answers where key = :key;

-- name: reclaim
-- Its worker is gone; only one of those who found that out goes on.
update kept_answers set worker = :worker, at = :at where key = :key and worker = :gone and status is null returning key;

-- name: keep
-- From now on this is the answer.
update kept_answers set status = :status, body = :body where key = :key;

-- name: release
-- Nothing was begun: the key may be used again.
delete from kept_answers where key = :key and status is null;

-- name: forget_answers
-- A few at a time.
delete from kept_answers where key in (select key from kept_answers where at < :before limit :limit);
