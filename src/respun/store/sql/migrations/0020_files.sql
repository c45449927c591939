-- `blob` names the bytes, which are kept outside of the database.
create table files (
    seq {bigserial key},
    id text not null unique,
    project text not null,
    purpose text not null,
    expires_at {float},
    body text not null
);
create index files_of_project on files (project, seq);
create index files_of_purpose on files (project, purpose, seq);
create index files_to_expire on files (expires_at) where expires_at is not null;

create table uploads (
    seq {bigserial key},
    id text not null unique,
    project text not null,
    status text not null,
    expires_at {float} not null,
    body text not null
);
create index uploads_open on uploads (expires_at) where status = 'pending';

create table upload_parts (
    seq {bigserial key},
    id text not null unique,
    upload text not null,
    body text not null
);
create index upload_parts_of_upload on upload_parts (upload, seq);

-- Blobs that no row names yet, or no longer: removed once they are due.
create table loose_blobs (
    name text primary key,
    due {float} not null
);
create index loose_blobs_due on loose_blobs (due);

-- Who lists a file for the code interpreter, so that a deleted file leaves every list without a look at all of them.
create table code_files (
    file text not null,
    kind text not null,
    owner text not null,
    primary key (file, kind, owner)
);
create index code_files_of_owner on code_files (kind, owner);
