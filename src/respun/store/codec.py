"""Core objects as the JSON text of a row's body, and back."""

from typing import Final

import msgspec

from respun.core.assistants import Assistant
from respun.core.events import AnyEvent
from respun.core.files import File, Upload, UploadPart
from respun.core.runs import Plan, Run, Step
from respun.core.threads import Message, Thread
from respun.core.vector_stores import StoreFile, VectorStore

_encoder: Final = msgspec.json.Encoder()


def _never_stored(kind: type, value: object) -> object:
    raise TypeError(f"{kind.__name__} is kept as events, not in a row's body.")


to_assistant: Final = msgspec.json.Decoder(Assistant).decode
to_thread: Final = msgspec.json.Decoder(Thread).decode
to_message: Final = msgspec.json.Decoder(Message).decode
to_run: Final = msgspec.json.Decoder(Run, dec_hook=_never_stored).decode
to_plan: Final = msgspec.json.Decoder(Plan).decode
to_step: Final = msgspec.json.Decoder(Step).decode
to_events: Final = msgspec.json.Decoder(tuple[AnyEvent, ...]).decode

to_file: Final = msgspec.json.Decoder(File).decode
to_upload: Final = msgspec.json.Decoder(Upload).decode
to_part: Final = msgspec.json.Decoder(UploadPart).decode
to_vector_store: Final = msgspec.json.Decoder(VectorStore).decode
to_store_file: Final = msgspec.json.Decoder(StoreFile).decode


def text_of(thing: object) -> str:
    return _encoder.encode(thing).decode()
