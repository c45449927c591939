"""The process that holds an embedded model: Chat Completions on a Unix socket, until its parent lets go.

It is run as a file (`python -P llm_child.py`) in an empty environment and imports nothing of respun, so that it
starts fast and has no secret to lose. One JSON line on stdin says what to serve, including the key a caller must
give; the end of stdin means that the parent is gone. One line on stdout says that the model is loaded.

A crash of the native code (an illegal instruction, too little memory) ends this process only.
"""

import json
import os
import select
import sys
from typing import Any, TextIO

_PARENT_CHECK_SECONDS = 5.0
_PROMPT_CACHE_MIB = 128


def main() -> int:
    parent = os.getppid()
    ready = _keep_stdout_for_ready()
    order = json.loads(sys.stdin.buffer.readline())
    try:
        server = _serve(order)
    except RuntimeError as error:
        print(error, file=sys.stderr, flush=True)
        return 1
    ready.write("ready\n")
    ready.flush()
    _wait_for_the_end(parent)
    _remove(order["socket"])
    # Native threads may be in mid-answer: nobody reads it, so nothing is unwound.
    del server
    return 0


def _keep_stdout_for_ready() -> TextIO:
    """What native code prints goes to stderr; only `ready` is said on the real stdout."""
    ready = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return ready


def _serve(order: dict[str, Any]) -> object:
    """Load the model and serve it. The library's defaults (a TCP port, any origin, no key, a web page) are unsafe."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = order["model"]
    params.model_alias = {order["name"]}
    params.n_ctx = order["context_window"]
    params.n_parallel = 1
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = order["threads"]
    params.cpuparams.poll = params.cpuparams_batch.poll = 0
    params.n_threads_http = 4
    params.cache_ram_mib = _PROMPT_CACHE_MIB
    params.fit_params = False
    params.warmup = False
    params.verbosity = 1
    params.ui = False
    params.endpoint_slots = False
    params.api_keys = [order["key"]]
    params.cors_origins = ""
    params.hostnames = [order["socket"]]
    return xllamacpp.Server(params)


def _wait_for_the_end(parent: int) -> None:
    """Until stdin ends, or (where another process holds its write end) the parent is another one."""
    while os.getppid() == parent:
        readable, _, _ = select.select([0], [], [], _PARENT_CHECK_SECONDS)
        if readable and not os.read(0, 1024):
            return


def _remove(socket: str) -> None:
    try:
        os.unlink(socket)
        os.rmdir(os.path.dirname(socket))
    except OSError:
        pass  # the parent was faster


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    os._exit(code)
