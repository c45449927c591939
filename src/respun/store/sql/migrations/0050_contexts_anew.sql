-- Impacts are fixed when they are written, and are reckoned otherwise now: the indexes that there are, are built anew.
insert into context_purges (context) select id from contexts where true on conflict do nothing;
insert into context_builds (thread) select thread from contexts where true on conflict do nothing;
delete from contexts;
