"""What the end of a file takes with it: its places in vector stores and in lists for the code interpreter."""

from msgspec.structs import replace

from respun.core.assistants import ToolResources
from respun.store import assistants, code_files, files, threads, vector_stores
from respun.store.backend import Tx


async def remove_file(tx: Tx, project: str, ident: str, due: float) -> None:
    """Raises a Problem if there is no such file. Its bytes are removed when they are `due`."""
    await files.delete(tx, project, ident, due)
    await vector_stores.take_out_everywhere(tx, ident)
    for owner in await code_files.owners(tx, ident):
        if owner.kind == "assistant":
            await assistants.change(
                tx,
                project,
                owner.id,
                lambda before: replace(before, tool_resources=_without(before.tool_resources, ident)),
            )
        else:
            await threads.change(
                tx,
                project,
                owner.id,
                lambda before: replace(before, tool_resources=_without(before.tool_resources, ident)),
            )


def _without(resources: ToolResources, file: str) -> ToolResources:
    return replace(resources, code_files=tuple(each for each in resources.code_files or () if each != file))
