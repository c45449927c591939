-- name: find
-- A thread has one index, or none while it is short.
select id, thread, language, upto, last, size, tokens from contexts where thread = :thread;

-- name: language
-- None when the index was dropped.
select language from contexts where id = :context;

-- name: hold_thread
-- Nothing is deleted from the thread while entries are written.
update threads set last_position = last_position where id = :thread returning last_position;

-- name: create
-- The language stays: the terms of a question must be made like those of the index.
insert into contexts (thread, language) values (:thread, :language) on conflict (thread) do nothing;

-- name: extend
-- Only by whoever read on from where the index ends.
update contexts set upto = :upto, last = last + :entries, size = size + :entries, tokens = tokens + :tokens
where id = :context and upto = :before;

-- name: shrink
-- After an entry is gone.
update contexts set size = size - 1, tokens = tokens - :tokens where id = :context;

-- name: add_entry
-- `n` is never used twice.
insert into context_entries (context, n, source, part, role, tokens, flags, day, passages)
values (:context, :n, :source, :part, :role, :tokens, :flags, :day, :passages);

-- name: add_posting
-- The impact is fixed when the entry is read.
insert into context_postings (context, term, impact, n) values (:context, :term, :impact, :n);

-- name: count_term
-- In how many entries a term occurs.
insert into context_terms (context, term, size) values (:context, :term, :size)
on conflict (context, term) do update set size = context_terms.size + excluded.size;

-- name: drop_posting
-- The whole key, so that no other posting of the term is looked at.
delete from context_postings where context = :context and term = :term and impact = :impact and n = :n;

-- name: drop_term
-- A term of no entry is as good as one that never was.
delete from context_terms where context = :context and term = :term and size <= 0;

-- name: add_standing
-- A message is pinned once.
insert into context_standing (context, force, n, first, last, tokens)
values (:context, :force, :n, :first, :last, :tokens) on conflict do nothing;

-- name: unpin
-- What was said in it keeps standing.
delete from context_standing where context = :context and force = 0 and n = :n;

-- name: drop_standing
-- One seek for each force.
delete from context_standing where context = :context and force in (0, 1, 2) and n = :n;

-- name: entries_of
-- A message has one entry, a step several.
select context, n, part, role, tokens from context_entries where source = :source order by part;

-- name: drop_entry
-- By its key.
delete from context_entries where context = :context and n = :n;

-- name: before
-- Newest first, a page of the walk back from the thread's end.
select n, role, tokens, flags, day from context_entries
where context = :context and n < :n order by n desc limit :limit;

-- name: after
-- Oldest first.
select n, role, tokens, flags, day from context_entries
where context = :context and n > :n order by n limit :limit;

-- name: facts
-- One seek for each entry.
select n, role, tokens, flags, day from context_entries where context = :context and n in {integers:ns};

-- name: sources
-- What is needed to read the texts of entries.
select n, source, part, role, tokens, flags, passages from context_entries where context = :context and n in {integers:ns};

-- name: frequencies
-- One seek for each term.
select term, size from context_terms where context = :context and term in {texts:terms};

-- name: best
-- The end of the key's range of this term: the thread's length doesn't matter. `n` is only compared, so that SQLite
-- takes the key by term and impact.
select n, impact from context_postings
where context = :context and term = :term and n < :below order by impact desc, n desc limit :limit;

-- name: standing
-- Of one force, newest first.
select s.n, s.force, s.first, s.last, s.tokens as cost, e.role, e.tokens, e.flags, e.day
from context_standing s join context_entries e on e.context = s.context and e.n = s.n
where s.context = :context and s.force = :force and s.n < :below order by s.n desc, s.first desc limit :limit;

-- name: messages
-- A few texts by id.
select id, body, position from messages where id in {texts:ids};

-- name: steps
-- The same for tool calls and results.
select id, body from steps where id in {texts:ids};

-- name: steps_of_runs
-- The few steps of a few runs, in order.
select run, body from steps where run in {texts:runs} order by run, seq;

-- name: to_build
-- Many messages came at once.
insert into context_builds (thread) values (:thread) on conflict do nothing;

-- name: next_build
-- One thread at a time.
select thread from context_builds limit 1;

-- name: built
-- Up to its end.
delete from context_builds where thread = :thread;

-- name: drop
-- Its rows are removed afterwards, a few at a time.
delete from contexts where thread = :thread returning id;

-- name: to_purge
-- Remembered in the transaction that drops the index.
insert into context_purges (context) values (:context) on conflict do nothing;

-- name: next_purge
-- One index at a time.
select context from context_purges limit 1;

-- name: purged
-- Nothing of it is left.
delete from context_purges where context = :context;

-- name: purge_postings
-- A few rows a transaction, so that no other write waits long.
delete from context_postings where context = :context and (term, impact, n) in (
    select p.term, p.impact, p.n from context_postings p where p.context = :context limit :limit);

-- name: purge_terms
-- As above.
delete from context_terms where context = :context and term in (
    select t.term from context_terms t where t.context = :context limit :limit);

-- name: purge_entries
-- As above.
delete from context_entries where context = :context and n in (
    select e.n from context_entries e where e.context = :context limit :limit);

-- name: purge_standing
-- As above.
delete from context_standing where context = :context and (force, n, first) in (
    select s.force, s.n, s.first from context_standing s where s.context = :context limit :limit);

-- name: newest_runs
-- The windows of the runs before, by the index of (thread, seq).
select id, body from runs where thread = :thread order by seq desc limit :limit;
