-- name: insert
-- The database gives `seq`, the order of creation.
insert into files (id, project, purpose, expires_at, body) values (:id, :project, :purpose, :expires_at, :body);

-- name: get
-- A file past its time is gone, also before it is swept away.
select body from files where id = :id and project = :project and (expires_at is null or expires_at > :now);

-- name: found
-- Several at once; those that are missing are the caller's to refuse.
select id, body from files where id in {texts:ids} and project = :project and (expires_at is null or expires_at > :now);

-- name: place
-- Where a cursor stands.
select seq as place from files where id = :id and project = :project;

-- name: page_asc
-- Keyset paging between two places.
select seq, body from files where project = :project and seq > :low and seq < :high
  and (expires_at is null or expires_at > :now) order by seq limit :limit;

-- name: page_desc
-- The same, newest first.
select seq, body from files where project = :project and seq > :low and seq < :high
  and (expires_at is null or expires_at > :now) order by seq desc limit :limit;

-- name: page_of_purpose_asc
-- Files of one purpose by an index of their own.
select seq, body from files where project = :project and purpose = :purpose and seq > :low and seq < :high
  and (expires_at is null or expires_at > :now) order by seq limit :limit;

-- name: page_of_purpose_desc
-- The same, newest first.
select seq, body from files where project = :project and purpose = :purpose and seq > :low and seq < :high
  and (expires_at is null or expires_at > :now) order by seq desc limit :limit;

-- name: delete
-- The bytes follow once they are due among the loose blobs.
delete from files where id = :id and project = :project returning seq, body;

-- name: expired
-- What the sweep deletes.
select id, project from files where expires_at is not null and expires_at <= :now order by expires_at limit :limit;

-- name: loosen
-- A blob that nothing names; said again, the earlier time counts.
insert into loose_blobs (name, due) values (:name, :due)
on conflict (name) do update
set due = case when excluded.due < loose_blobs.due then excluded.due else loose_blobs.due end;

-- name: hold_blob
-- A row names it now. No row: it was swept away meanwhile.
delete from loose_blobs where name = :name;

-- name: due_blobs
-- A few at a time.
select name from loose_blobs where due <= :now order by due limit :limit;

-- name: insert_upload
-- As files.
insert into uploads (id, project, status, expires_at, body) values (:id, :project, :status, :expires_at, :body);

-- name: get_upload
-- For a look.
select body from uploads where id = :id and project = :project;

-- name: lock_upload
-- For a decision in this transaction: parts come side by side, and only one completion may win.
select body from uploads where id = :id and project = :project {for_update};

-- name: update_upload
-- The status stands in a column for the sweep.
update uploads set status = :status, body = :body where id = :id;

-- name: stale_uploads
-- Nobody may go on with them.
select id, project from uploads where status = 'pending' and expires_at <= :now order by expires_at limit :limit;

-- name: insert_part
-- In the order in which they came; the caller gives the order that counts.
insert into upload_parts (id, upload, body) values (:id, :upload, :body);

-- name: parts
-- At most some hundred: 8 GB in pieces of 64 MB.
select body from upload_parts where upload = :upload order by seq;

-- name: delete_parts
-- Their blobs are loose by then.
delete from upload_parts where upload = :upload;

-- name: add_code_file
-- An owner lists a file once.
insert into code_files (file, kind, owner) values (:file, :kind, :owner) on conflict do nothing;

-- name: drop_code_files
-- Before the list is written anew, and when its owner goes.
delete from code_files where kind = :kind and owner = :owner;

-- name: code_file_owners
-- Whose lists a deleted file must leave.
select kind, owner from code_files where file = :file;
