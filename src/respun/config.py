"""Every setting once: its name, type, default and help are the fields of `Config`.

Flags, `RESPUN_*` variables, keys of `respun.toml` and docs/configuration.md are made from this table; `settle` works
out the values. Nothing here reads the environment or a file.
"""

from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_args, get_origin, get_type_hints
from urllib.parse import urlsplit, urlunsplit

import msgspec
from msgspec import Meta, Struct

Section = Literal[
    "Server", "Keys", "Store", "Models", "Embedded model", "Runs", "Files", "Code interpreter", "Context", "Logs"
]


class Upstream(Struct, frozen=True, kw_only=True):
    """`[upstreams.NAME]`: a server of Chat Completions that routes can name."""

    base_url: Annotated[str, Meta(description="Its address up to and with `/v1`.")]
    api_key_env: Annotated[str | None, Meta(description="The environment variable that holds its key.")] = None
    streaming: Annotated[bool, Meta(description="False for a server that can only answer as a whole.")] = True
    tools: Annotated[bool, Meta(description="False for a model without tool calls; respun adds them by schema.")] = True
    json_schema: Annotated[
        bool, Meta(description="False for a server without JSON schemas; respun tells them in words and checks.")
    ] = True
    headers: Annotated[dict[str, str], Meta(description="Further headers of every call.")] = {}


class Route(Struct, frozen=True, kw_only=True):
    """`[models]`, one line each: which upstream serves the model names that a pattern matches."""

    upstream: Annotated[
        str | None, Meta(description="A name from `[upstreams]`, or `openai`, `embedded` or `scripted`.")
    ] = None
    base_url: Annotated[str | None, Meta(description="An address, instead of a named upstream.")] = None
    api_key_env: Annotated[str | None, Meta(description="The variable with the key for `base_url`.")] = None
    model: Annotated[str | None, Meta(description="The upstream's name of the model, if it is another.")] = None
    context_window: Annotated[
        Annotated[int, Meta(ge=256)] | None, Meta(description="The tokens that the model holds, if respun can't know.")
    ] = None
    fallback: Annotated[tuple[str, ...], Meta(description="Model names to try in order when this route fails.")] = ()


BUILT_IN_UPSTREAMS: Final = ("openai", "embedded", "scripted")


def _is(
    section: Section, description: str, *, env: str = "", secret: bool = False, default: str = "", **bounds: Any
) -> Meta:
    """`env` is a variable that others use too; `default` puts a default in words that depends on the machine."""
    return Meta(
        description=description,
        extra={"section": section, "env": env, "secret": secret, "default": default},
        **bounds,
    )


class Config(Struct, frozen=True, kw_only=True):
    """The settings of one server. Build it with `settle`, or by hand in tests."""

    host: Annotated[str, _is("Server", "The address to listen on. Beyond loopback a key is needed.")] = "127.0.0.1"
    port: Annotated[int, _is("Server", "The port to listen on; 0 takes a free one.", ge=0, le=65535)] = 8484
    max_body_bytes: Annotated[int, _is("Server", "The largest request body; larger ones get 413.", ge=1024)] = 4 << 20
    drain_seconds: Annotated[
        float, _is("Server", "How long answers under way may go on after Ctrl-C or SIGTERM.", ge=0)
    ] = 10.0
    poll_after_ms: Annotated[
        int, _is("Server", "How soon polling clients should ask again, in milliseconds.", ge=1, le=60_000)
    ] = 250
    file_batch_object: Annotated[
        Literal["vector_store.file_batch", "vector_store.files_batch"],
        _is("Server", "What `object` of a batch of files says: as OpenAI answered, or as its schema and SDKs have it."),
    ] = "vector_store.file_batch"

    key: Annotated[
        str | None,
        _is("Keys", "A key to make at the start if the store has none: for containers.", secret=True),
    ] = None
    insecure: Annotated[bool, _is("Keys", "Serve beyond loopback without a key. Never on a network.")] = False

    data: Annotated[
        Path,
        _is("Store", "The folder of the database and all else that is kept.", default="the user's data folder"),
    ]
    database: Annotated[
        str | None,
        _is(
            "Store",
            "postgresql://user:password@host/database, instead of SQLite in the data folder.",
            env="DATABASE_URL",
            default="SQLite in `data`",
        ),
    ] = None

    provider: Annotated[
        Literal["auto", "openai", "local", "embedded", "scripted", "none"],
        _is(
            "Models",
            "Who answers a model name that no route matches. `auto` takes the first there is of: a key in the "
            "environment, a server of models on this machine, the embedded model.",
        ),
    ] = "auto"
    openai_api_key: Annotated[
        str | None, _is("Models", "The key of the `openai` upstream.", env="OPENAI_API_KEY", secret=True)
    ] = None
    openai_base_url: Annotated[
        str | None,
        _is(
            "Models",
            "The address of the `openai` upstream: any server of Chat Completions.",
            env="OPENAI_BASE_URL",
            default="https://api.openai.com/v1",
        ),
    ] = None
    connect_seconds: Annotated[float, _is("Models", "For connecting to an upstream.", gt=0)] = 10.0
    first_byte_seconds: Annotated[float, _is("Models", "Until the first piece of a streamed answer.", gt=0)] = 120.0
    idle_seconds: Annotated[float, _is("Models", "Of silence in the middle of a streamed answer.", gt=0)] = 60.0
    total_seconds: Annotated[float, _is("Models", "For a whole model call with its retries.", gt=0)] = 600.0
    retries: Annotated[int, _is("Models", "How often a call that gave nothing yet is tried again.", ge=0, le=10)] = 2

    embedded_model: Annotated[
        str | None,
        _is(
            "Embedded model",
            "Which model answers; `respun models list` shows them.",
            default="the ablest that was fetched, else smollm2-135m",
        ),
    ] = None
    embedded_idle_seconds: Annotated[
        float, _is("Embedded model", "After how long without a call it gives its memory back.", gt=0)
    ] = 300.0
    models_folder: Annotated[
        Path, _is("Embedded model", "Where model files are kept.", default="`models` in the user's data folder")
    ]

    run_expires_after: Annotated[
        float, _is("Runs", "Seconds until a run that isn't done is `expired`.", gt=0, le=86_400)
    ] = 600.0
    when_busy: Annotated[
        Literal["reject", "enqueue", "interrupt"],
        _is("Runs", "What a second run on a thread does: is refused as at OpenAI, waits, or cancels the first."),
    ] = "reject"
    max_turns: Annotated[int, _is("Runs", "Model calls in one run, at most.", ge=1, le=1000)] = 50
    max_concurrent_runs: Annotated[int, _is("Runs", "Runs that this server drives at once.", ge=1, le=10_000)] = 2_000
    lease_seconds: Annotated[
        float, _is("Runs", "How long a run stays with a server that went silent.", gt=0, le=3600)
    ] = 30.0
    heartbeat_seconds: Annotated[
        float, _is("Runs", "How often a server says that it still drives its runs.", gt=0, le=3600)
    ] = 10.0

    max_file_bytes: Annotated[
        int, _is("Files", "The largest file that is taken at once; larger ones get 413.", ge=1)
    ] = 512 << 20

    ingest_workers: Annotated[
        int | None,
        _is("Files", "Files that are read into vector stores at once.", default="one less than the cores", ge=1, le=64),
    ] = None
    embeddings: Annotated[
        Literal["embedded", "endpoint", "none"],
        _is(
            "Files",
            "What makes the vectors of file search: the model that is fetched once, the endpoint of "
            "`embeddings_base_url`, or nothing, so that words alone decide.",
        ),
    ] = "embedded"
    embeddings_base_url: Annotated[
        str | None, _is("Files", "The address, up to and with `/v1`, of an OpenAI-compatible `/embeddings`.")
    ] = None
    embeddings_model: Annotated[str | None, _is("Files", "The model that the endpoint is asked for.")] = None
    embeddings_dimensions: Annotated[int, _is("Files", "How long the endpoint's vectors are.", ge=1, le=16_384)] = 1536
    embeddings_api_key: Annotated[str | None, _is("Files", "The key of the endpoint.", secret=True)] = None
    rerank_base_url: Annotated[
        str | None,
        _is(
            "Files",
            "The address, up to and with `/v1`, of an endpoint whose `/rerank` (as of Cohere, Jina, vLLM or "
            "llama-server) ranks what file search found. It is sent the queries and passages.",
        ),
    ] = None
    rerank_model: Annotated[str | None, _is("Files", "The model that the rerank endpoint is asked for.")] = None
    rerank_seconds: Annotated[
        float, _is("Files", "How long a search waits to be reranked; then it answers as it is.", gt=0, le=60)
    ] = 2.0
    rerank_api_key: Annotated[str | None, _is("Files", "The key of the rerank endpoint.", secret=True)] = None

    code_interpreter: Annotated[
        Literal["auto", "bwrap", "process", "wasm", "remote", "off"],
        _is(
            "Code interpreter",
            "What holds the Python that models write. `auto` takes the first of bwrap, process and wasm that this "
            "machine can do; without one, and when `off`, runs that ask for the tool are refused. `remote` sends code "
            "and files to machines elsewhere, and needs a key.",
        ),
    ] = "auto"
    code_python: Annotated[
        str | None,
        _is(
            "Code interpreter",
            "The interpreter of the sessions, for packages of their own.",
            default="the one that runs respun",
        ),
    ] = None
    code_call_seconds: Annotated[
        float, _is("Code interpreter", "After how long a call is interrupted.", gt=0, le=3600)
    ] = 60.0
    code_memory_mib: Annotated[
        int, _is("Code interpreter", "What all processes of a session may use together.", ge=64)
    ] = 1024
    code_disk_mib: Annotated[int, _is("Code interpreter", "What the files of a session may take.", ge=1)] = 512
    code_files: Annotated[
        int, _is("Code interpreter", "Files and folders of a session, at most.", ge=1, le=1_000_000)
    ] = 10_000
    code_processes: Annotated[
        int, _is("Code interpreter", "Processes and threads of a session, at most.", ge=1, le=4096)
    ] = 64
    code_logs_kib: Annotated[
        int, _is("Code interpreter", "What the model is told of a call's output, at most.", ge=1, le=16_384)
    ] = 256
    code_idle_seconds: Annotated[
        float, _is("Code interpreter", "After how long without a call a session ends.", gt=0)
    ] = 1200.0
    code_life_seconds: Annotated[float, _is("Code interpreter", "After how long a session ends in any case.", gt=0)] = (
        3600.0
    )
    code_sessions: Annotated[
        int, _is("Code interpreter", "Sessions at once; one more ends the one idle longest.", ge=1, le=1000)
    ] = 100

    code_remote_key: Annotated[
        str | None,
        _is("Code interpreter", "The key of the provider of remote machines.", env="E2B_API_KEY", secret=True),
    ] = None
    code_remote_url: Annotated[
        str, _is("Code interpreter", "Where remote machines are made: E2B, or a service of its interface.")
    ] = "https://api.e2b.app"
    code_remote_address: Annotated[
        str,
        _is("Code interpreter", "How a remote machine is reached; `{port}`, `{machine}` and `{domain}` are filled in."),
    ] = "https://{port}-{machine}.{domain}"
    code_remote_template: Annotated[
        str, _is("Code interpreter", "What remote machines are made from; it must hold E2B's code interpreter.")
    ] = "code-interpreter-v1"

    context_window: Annotated[
        int, _is("Context", "The tokens that a model holds which is not known, and whose upstream doesn't say.", ge=256)
    ] = 8192
    auto_strategy: Annotated[
        Literal["economy", "balanced", "recall", "drop_middle"],
        _is(
            "Context",
            "What `truncation_strategy` auto does with a thread that doesn't fit: keep the newest turns and recall a "
            "quarter, a third or all that is left from before; `drop_middle` is what OpenAI described.",
        ),
    ] = "balanced"
    context_vectors: Annotated[
        bool,
        _is(
            "Context",
            "Excerpts of long threads are also chosen by meaning, with the embedding model of file search; a run says "
            "otherwise by `vectors` under `truncation_strategy`.",
        ),
    ] = False
    context_digest: Annotated[
        bool,
        _is(
            "Context",
            "A run's model also makes a summary of what a long thread said before its window, behind the runs, each "
            "time the window moves; a run says otherwise by `digest` under `truncation_strategy`.",
        ),
    ] = False
    exact_tokens: Annotated[
        bool,
        _is("Context", "Count with OpenAI's vocabulary, which takes 65 MB of memory; else tokens are estimated."),
    ] = False

    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], _is("Logs", "The least level that is logged.")
    ] = "info"
    log_format: Annotated[
        Literal["auto", "pretty", "json"], _is("Logs", "`auto` is pretty on a terminal and JSON elsewhere.")
    ] = "auto"

    models: dict[str, Route] = {}
    upstreams: dict[str, Upstream] = {}

    @property
    def store(self) -> str | Path:
        """What to open: the database if one is named, else the data folder."""
        return self.database or self.data


class Setting(Struct, frozen=True):
    """One row of the table."""

    name: str
    section: Section
    help: str
    type: Any
    default: Any
    default_words: str
    also_env: str
    secret: bool
    nullable: bool
    """An empty flag takes it back to what holds when it is not set: `--database ''`."""
    expects: str

    @property
    def flag(self) -> str | None:
        """None for a secret: other users of the machine can read command lines."""
        return None if self.secret else "--" + self.name.replace("_", "-")

    @property
    def env(self) -> str:
        return "RESPUN_" + self.name.upper()

    def shown(self, value: object) -> str:
        """A value as people may see it: secrets and passwords masked."""
        if value is None:
            return "-"
        if self.secret:
            return masked(str(value))
        if isinstance(value, bool):
            return "true" if value else "false"
        return without_password(str(value))


def masked(secret: str) -> str:
    """Enough of a key to recognise it by: `sk-respu…a1b2`."""
    return f"{secret[:8]}…{secret[-4:]}" if len(secret) >= 24 else "…"


def without_password(text: str) -> str:
    """An address with its password hidden; other texts as they are."""
    if "://" not in text or "@" not in text:
        return text
    parts = urlsplit(text)
    user, _, host = parts.netloc.rpartition("@")
    name = user.partition(":")[0]
    return urlunsplit(parts._replace(netloc=f"{name}:…@{host}" if ":" in user else f"{name}@{host}"))


def _settings() -> tuple[Setting, ...]:
    hints = get_type_hints(Config, include_extras=True)
    fields = msgspec.structs.fields(Config)
    return tuple(_setting(f, hints[f.name]) for f in fields if get_origin(hints[f.name]) is Annotated)


def _setting(field: msgspec.structs.FieldInfo, hint: Any) -> Setting:
    kind, meta = get_args(hint)
    default = None if field.default is msgspec.NODEFAULT else field.default
    return Setting(
        name=field.name,
        section=meta.extra["section"],
        help=meta.description,
        type=hint,
        default=default,
        default_words=meta.extra["default"],
        also_env=meta.extra["env"],
        secret=meta.extra["secret"],
        nullable=field.default is None,
        expects=_expectation(kind, meta),
    )


def _expectation(kind: Any, meta: Meta) -> str:
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(get_args(kind))
    if kind is bool:
        return "true or false"
    if kind in (int, float):
        words = "a whole number" if kind is int else "a number"
        above = "" if meta.gt is None else f" above {meta.gt:g}"
        least = "" if meta.ge is None else f" of at least {meta.ge:g}"
        most = "" if meta.le is None else f" up to {meta.le:g}"
        return words + above + least + most
    if kind is Path:
        return "a path"
    return "a text"


SETTINGS: Final = _settings()
"""The table, in the order of the fields of `Config`."""
