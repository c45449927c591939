"""What a run's code finds in its folder: files of the assistant, the thread and new messages, under their names."""

from collections.abc import Sequence

from respun.core.assistants import CodeInterpreterTool
from respun.core.drafts import MessageDraft
from respun.core.runs import GivenFile, Plan
from respun.core.threads import Thread
from respun.store import files
from respun.store.backend import Tx
from respun.workspace.resources import attached


def runs_code(plan: Plan) -> bool:
    return any(isinstance(tool, CodeInterpreterTool) for tool in plan.tools)


async def given_files(
    tx: Tx, project: str, plan: Plan, thread: Thread, drafts: Sequence[MessageDraft], now: float
) -> tuple[GivenFile, ...]:
    """`drafts` are not in the thread yet. Files that were deleted are left out."""
    own, the_threads = plan.tool_resources.code_files or (), thread.tool_resources.code_files or ()
    idents = list(dict.fromkeys((*own, *the_threads, *attached(drafts, "code_interpreter"))))
    found = await files.present(tx, project, idents, now)
    names: dict[str, str] = {}
    for ident in idents:
        if ident in found:
            name = _file_name(found[ident].filename) or ident
            names[f"{ident}-{name}" if name in names else name] = ident
    return tuple(GivenFile(ident, name) for name, ident in names.items())


def _file_name(name: str) -> str:
    """A caller's name as one that code can open: no folders, nothing unprintable, at most 200 bytes."""
    last = name.replace("\\", "/").rpartition("/")[2]
    kept = "".join(character for character in last if character.isprintable()).lstrip(".")
    while len(kept.encode()) > 200:
        kept = kept[1:]
    return kept
