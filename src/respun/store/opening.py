"""Open the store that a path or a URL names."""

from collections.abc import Sequence
from pathlib import Path

from respun.store.backend import Backend, Settings, StoreInUse, StoreRefused
from respun.store.migrations import Migration, shipped

_POSTGRES = ("postgresql://", "postgres://")


async def open_backend(
    where: str | Path, settings: Settings | None = None, migrations: Sequence[Migration] | None = None
) -> Backend:
    """Open a data folder (a path or `sqlite:///path`) or a database (`postgresql://...`) and bring it up to date.

    Raises StoreRefused with what to do, or StorageUnavailable if a server doesn't answer. Close what it returns.
    """
    settings = settings or Settings()
    known = shipped() if migrations is None else migrations
    if str(where).startswith(_POSTGRES):
        try:
            from respun.store.postgres import open_postgres
        except ModuleNotFoundError as missing:
            raise StoreRefused("PostgreSQL needs one more package: pip install 'respun[postgres]'.") from missing
        return await open_postgres(str(where), settings, known)
    from respun.store.sqlite import open_sqlite

    return await open_sqlite(_folder(where), settings, known)


async def open_beside(where: str | Path, settings: Settings | None = None) -> Backend:
    """Open the store for a short command, also while a server owns its data folder.

    Only for units that no server keeps in mind, such as those of keys: a guest hears no notices and is not heard.
    """
    try:
        return await open_backend(where, settings)
    except StoreInUse:
        from respun.store.sqlite import visit_sqlite

        return await visit_sqlite(_folder(where), settings or Settings(), shipped())


def _folder(where: str | Path) -> Path:
    if isinstance(where, Path):
        return where
    if where.startswith("sqlite:///"):
        return Path(where.removeprefix("sqlite:///") or "/")
    if "://" in where:
        scheme = where.partition("://")[0]
        raise StoreRefused(f"The store can't be a {scheme}:// address. Give a folder or postgresql://host/database.")
    return Path(where)
