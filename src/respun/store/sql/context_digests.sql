-- name: get
-- None while no run has asked for one.
select upto, target, text, tokens, prompt, completion, tries, error from context_digests
where context = :context and model = :model;

-- name: want
-- The window has moved: there is more to tell of. One that failed is tried again.
insert into context_digests (context, model, target) values (:context, :model, :target)
on conflict (context, model) do update set target = excluded.target, tries = 0
where context_digests.target < excluded.target;

-- name: any_due
-- Whether there may be something to do.
select 1 as one from context_digests where upto < target and tries < 3 limit 1;

-- name: claim
-- What nobody does, or whose worker went silent.
update context_digests set owner = :me, lease_until = :until where (context, model) in (
    select d.context, d.model from context_digests d
    where d.upto < d.target and d.tries < 3 and d.lease_until < :now
    order by d.lease_until limit 1 {skip_locked})
returning context, model, upto, target, text, tries;

-- name: put
-- Only by whoever still has it; a deleted message takes the row away under them.
update context_digests set upto = :upto, text = :text, tokens = :tokens, prompt = prompt + :prompt,
    completion = completion + :completion, tries = 0, error = '', lease_until = :until
where context = :context and model = :model and owner = :me and upto = :before;

-- name: failed
-- Again after `later`, a few times.
update context_digests set owner = null, lease_until = :later, tries = tries + 1, error = :error
where context = :context and model = :model and owner = :me;

-- name: let_go
-- Done, or for whoever comes next.
update context_digests set owner = null, lease_until = 0 where context = :context and model = :model and owner = :me;

-- name: disown
-- Workers of a store that one process uses are gone when it starts.
update context_digests set owner = null, lease_until = 0 where owner is not null;

-- name: following
-- What is told of next: calls and their results have no part in it.
select n, tokens from context_entries
where context = :context and n > :n and n <= :target and role in ('user', 'assistant') order by n limit :limit;

-- name: invalidate
-- A message is gone that it tells of, or that somebody is about to tell of.
delete from context_digests where context = :context and target >= :n;

-- name: drop
-- The index was dropped.
delete from context_digests where context = :context;
