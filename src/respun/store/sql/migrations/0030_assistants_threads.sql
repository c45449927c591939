-- A thread may belong to the assistant that it was made under.
alter table threads add column assistant text;
create index threads_of_assistant on threads (project, assistant, seq) where assistant is not null;
