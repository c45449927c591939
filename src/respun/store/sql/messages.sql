-- name: take_positions
-- Numbers for new messages; locks the thread's row, and finds out whether there is such a thread.
update threads set last_position = last_position + :count where id = :thread and project = :project
returning last_position;

-- name: insert
-- The words are indexed under `seq`.
insert into messages (id, thread, position, run, body) values (:id, :thread, :position, :run, :body) returning seq;

-- name: get
-- The caller has shown that the thread is its own.
select seq, position, body from messages where id = :id and thread = :thread;

-- name: update
-- The body is written whole; position and run never change.
update messages set body = :body where id = :id and thread = :thread;

-- name: delete
-- Positions of the others stay as they are.
delete from messages where id = :id and thread = :thread returning seq, position, body;

-- name: newest_id
-- By the index of (thread, position).
select id from messages where thread = :thread order by position desc limit 1;

-- name: place
-- Where a cursor stands.
select position as place from messages where id = :id and thread = :thread;

-- name: page_asc
-- Keyset paging on (thread, position).
select position, body from messages where thread = :thread and position > :low and position < :high
order by position limit :limit;

-- name: page_desc
-- The same, newest first.
select position, body from messages where thread = :thread and position > :low and position < :high
order by position desc limit :limit;

-- name: page_of_run_asc
-- The few messages of a run have an index of their own.
select position, body from messages
where run = :run and thread = :thread and position > :low and position < :high order by position limit :limit;

-- name: page_of_run_desc
-- The same, newest first.
select position, body from messages
where run = :run and thread = :thread and position > :low and position < :high order by position desc limit :limit;

-- name: index_words (sqlite)
-- `words` are already split and folded by core, alike for both databases.
insert into message_words (rowid, words) values (:seq, :words);

-- name: index_words (postgres)
-- They are lexemes as they are: PostgreSQL's own parser depends on the locale.
insert into message_words (seq, words) values (:seq, array_to_tsvector(string_to_array(cast(:words as text), ' ')));

-- name: forget_words (sqlite)
-- An index without content is told again what it is to forget.
insert into message_words (message_words, rowid, words) values ('delete', :seq, :words);

-- name: forget_words (postgres)
-- Its rows go by themselves with the message's; this serves a message that gets new words.
delete from message_words where seq = :seq and cast(:words as text) is not null;

-- name: search_desc (sqlite)
-- Newest first, so that a cursor stays where it is while messages come in.
select m.seq, m.position, m.body from message_words w join messages m on m.seq = w.rowid
join threads t on t.id = m.thread
where w.message_words match :match and t.project = :project and m.seq > :low and m.seq < :high
order by w.rowid desc limit :limit;

-- name: search_desc (postgres)
-- The same.
select m.seq, m.position, m.body from message_words w join messages m on m.seq = w.seq
join threads t on t.id = m.thread
where w.words @@ cast('''' || replace(cast(:match as text), ' ', ''' & ''') || '''' as tsquery) and t.project = :project and m.seq > :low and m.seq < :high
order by m.seq desc limit :limit;

-- name: search_asc (sqlite)
-- Oldest first.
select m.seq, m.position, m.body from message_words w join messages m on m.seq = w.rowid
join threads t on t.id = m.thread
where w.message_words match :match and t.project = :project and m.seq > :low and m.seq < :high
order by w.rowid limit :limit;

-- name: search_asc (postgres)
-- Oldest first.
select m.seq, m.position, m.body from message_words w join messages m on m.seq = w.seq
join threads t on t.id = m.thread
where w.words @@ cast('''' || replace(cast(:match as text), ' ', ''' & ''') || '''' as tsquery) and t.project = :project and m.seq > :low and m.seq < :high
order by m.seq limit :limit;

-- name: search_place
-- Where a cursor of a search stands.
select m.seq as place from messages m join threads t on t.id = m.thread where m.id = :id and t.project = :project;

-- name: of_thread
-- A few messages of a deleted thread, to be removed with their words.
select seq, id, body from messages where thread = :thread limit :limit;
