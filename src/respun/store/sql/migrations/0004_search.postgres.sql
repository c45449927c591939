-- Words of messages for full-text search; the text itself stays in the message.
create table message_words (
    seq bigint primary key references messages (seq) on delete cascade,
    words tsvector not null
);
create index message_words_index on message_words using gin (words);
