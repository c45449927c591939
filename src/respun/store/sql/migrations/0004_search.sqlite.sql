-- Words of messages for full-text search; the text itself stays in the message.
create virtual table message_words using fts5 (words, content = '', detail = none, columnsize = 0, tokenize = "unicode61 remove_diacritics 0");
