"""The table of the power cut tests."""

from respun.store.migrations import Migration
from respun.store.statements import parse

_SCHEMA = """create table proofs (id {bigint} primary key, text text not null, reverse text not null);
create index proofs_text on proofs (text);"""
MIGRATIONS = [Migration(1, "proofs", _SCHEMA, _SCHEMA)]
sql = parse(
    """
-- name: insert
-- A row that proves itself.
insert into proofs (id, text, reverse) values (:id, :text, :reverse);
-- name: touch
-- Rewrites an older page.
update proofs set text = text where id = :id;
-- name: count
-- What is there.
select count(*) from proofs;
""",
    "powerloss_schema.py",
)
