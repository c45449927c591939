"""The use cases, by concept: the only thing a dialect may call. Every call names the project it is for."""

from respun.engine.bus import Happening
from respun.workspace.contexts import Shown
from respun.workspace.workspace import ModelCard, Workspace

__all__ = ["Happening", "ModelCard", "Shown", "Workspace"]
