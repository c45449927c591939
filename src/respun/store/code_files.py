"""Which assistants and threads list a file for the code interpreter."""

from collections.abc import Iterable
from typing import Final, Literal

from msgspec import Struct

from respun.store.backend import Tx
from respun.store.statements import load

_sql: Final = load("files")

OwnerKind = Literal["assistant", "thread"]


class Owner(Struct, frozen=True):
    kind: OwnerKind
    id: str


async def note(tx: Tx, owner: Owner, files: Iterable[str] | None) -> None:
    """These are the files that the owner lists now."""
    await tx.run(_sql.drop_code_files, kind=owner.kind, owner=owner.id)
    await tx.many(_sql.add_code_file, [(file, owner.kind, owner.id) for file in files or ()])


async def owners(tx: Tx, file: str) -> list[Owner]:
    return [Owner(row["kind"], row["owner"]) for row in await tx.all(_sql.code_file_owners, file=file)]
