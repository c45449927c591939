"""Run the application: bind, open, listen, and on Ctrl-C or SIGTERM let what is under way finish.

A second signal ends it at once. Runs that are cut off so are taken up again at the next start.
"""

import asyncio
import contextlib
import errno
import gc
import shlex
import signal
import socket
import sys
import time
from collections.abc import Callable, Coroutine, Generator
from ipaddress import ip_address
from typing import Any, Final, Protocol
from uuid import uuid4

import uvicorn
from starlette.types import Receive, Scope, Send

from respun import telemetry
from respun.config import Config
from respun.settle import ConfigError
from respun.store import keys
from respun.store.backend import Backend
from respun.store.keys import Key
from respun.web.auth import PROJECT, is_loopback
from respun.web.protocol import BoundedProtocol

log: Final = telemetry.log("server")

# Seconds that the loop and the store's writer may keep the interpreter from each other; the default is 0.005.
_TURN: Final = 0.0005
# After how many new objects the collector looks for cycles, and after how many looks among older ones (default 700).
_COLLECT_AFTER: Final = (20_000, 20, 20)
# Longer than any client keeps an idle connection, so that a client never writes to one that is just being closed.
_KEEP_ALIVE_SECONDS: Final = 75


class ServeRefused(Exception):
    """The server will not start like this; the message says what to do."""


class App(Protocol):
    """What `web.app.build` gives: an ASGI application and its life."""

    @property
    def backend(self) -> Backend: ...

    @property
    def answers(self) -> str:
        """One sentence for people: which model answers."""
        ...

    async def startup(self) -> None: ...

    async def reload(self, config: Config) -> None:
        """Take over the routes of these settings; raises ConfigError and changes nothing where they can't be used."""
        ...

    def drain(self) -> None:
        """The end is near: take no further work, say so on /readyz."""

    async def shutdown(self) -> None:
        """Let go of everything; runs that are not done are left for the next start."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None: ...


class Serving:
    """A server that listens, as the banner wants to know it."""

    def __init__(self, config: Config, app: App, port: int) -> None:
        self.config = config
        self.app = app
        self.port = port

    @property
    def origin(self) -> str:
        host = self.config.host
        if host in ("", "0.0.0.0", "::"):  # noqa: S104 - compared, not bound
            host = "127.0.0.1"
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"


async def serve(
    config: Config,
    build: Callable[[Config], Coroutine[Any, Any, App]],
    ready: Callable[[Serving], None],
    reread: Callable[[], Config],
) -> None:
    """Until a signal comes. Calls `ready` once it listens; raises ServeRefused or StoreRefused before that.

    `reread` gives the settings as they are now, for SIGHUP; it may raise ConfigError.
    """
    allow_connections()
    with contextlib.closing(bind(config.host, config.port)) as listener:
        app = await build(config)
        try:
            await admit(config, app.backend, time.time())
            await app.startup()
            port: int = listener.getsockname()[1]
            _settle_down()
            with Reloading(app, reread):
                await Server(config, app, lambda: ready(Serving(config, app, port))).serve(sockets=[listener])
        finally:
            await app.shutdown()


def allow_connections() -> None:
    """As many as the system lets this process have: a streamed run holds two, and many systems begin with 1,024."""
    if sys.platform == "win32":
        return
    import resource

    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):  # macOS calls its limit infinite, and refuses that
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def run(main: Coroutine[Any, Any, None]) -> None:
    """On the fastest loop there is."""
    if sys.platform == "win32":
        asyncio.run(main)
        return
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main)


def _settle_down() -> None:
    """What was made so far lives as long as the server: the collector need not look at it again."""
    sys.setswitchinterval(_TURN)
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECT_AFTER)


class Reloading:
    """While it is entered, SIGHUP takes the routes of `respun.toml` over, one reload after the other."""

    def __init__(self, app: App, reread: Callable[[], Config]) -> None:
        self._app = app
        self._reread = reread
        self._turn = asyncio.Lock()  # keeps two reloads from overtaking each other
        self._tasks: set[asyncio.Task[None]] = set()

    def __enter__(self) -> None:
        if sys.platform != "win32":
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._begin)

    def __exit__(self, *raised: object) -> None:
        if sys.platform != "win32":
            asyncio.get_running_loop().remove_signal_handler(signal.SIGHUP)
        for task in self._tasks:
            task.cancel()

    def _begin(self) -> None:
        task = asyncio.create_task(self._reload())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _reload(self) -> None:
        async with self._turn:
            try:
                await self._app.reload(self._reread())
            except ConfigError as error:
                log.error("the routes stay as they were: the settings can't be used", reason=str(error))
            else:
                log.info("routes reloaded", answers=self._app.answers)


class Server(uvicorn.Server):
    """Uvicorn with our signals: a clean end is no failure, so the signal isn't raised again after it."""

    def __init__(self, config: Config, app: App, ready: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=BoundedProtocol,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            )
        )
        # Its signature wants whole seconds; it waits for fractions as well.
        self.config.timeout_graceful_shutdown = config.drain_seconds  # type: ignore[assignment]
        self._app = app
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        before = {number: signal.signal(number, self._stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _stop(self, number: int, frame: object) -> None:
        if self.should_exit:
            self.force_exit = True
            return
        self.should_exit = True
        self._app.drain()
        log.info("stopping", signal=signal.Signals(number).name)


def bind(host: str, port: int) -> socket.socket:
    """A socket at the address that does not listen yet. Raises ServeRefused."""
    try:
        found = socket.getaddrinfo(host or "::", port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror:
        raise ServeRefused(f"'{host}' is no address of this machine. Use --host 127.0.0.1.") from None
    family, kind, protocol, _, address = found[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6 and not ip_address(address[0]).is_loopback:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise _bind_refusal(host, port, error) from None
    return listener


def _bind_refusal(host: str, port: int, error: OSError) -> ServeRefused:
    if error.errno == errno.EADDRINUSE:
        return ServeRefused(f"Port {port} is in use. Stop what listens there, or choose another: --port {port + 1}.")
    if error.errno == errno.EACCES:
        return ServeRefused(f"Port {port} is for the system's own servers. Choose one above 1023: --port 8484.")
    return ServeRefused(f"{host}:{port} can't be listened on: {error.strerror}. Use --host 127.0.0.1.")


async def admit(config: Config, backend: Backend, now: float) -> None:
    """Make the key of the settings if the store has none, and refuse to serve a network without one."""
    if config.key and not await backend.read(keys.any_made):
        key = Key(f"key_{uuid4().hex}", PROJECT, "from the settings", keys.hint_of(config.key), now)
        secret = config.key
        await backend.write(lambda tx: keys.add(tx, secret, key))
        log.info("a key was made from the settings", key=key.id)
    if is_loopback(config.host) or await backend.read(keys.any_live):
        return
    if not config.insecure:
        where = "" if config.database else f" --data {shlex.quote(str(config.data))}"
        raise ServeRefused(
            f"It will not listen on {config.host} without a key: whoever reaches it could use it and read "
            f"everything. Make one with this command, then start again:\n\n  respun keys create{where}\n"
        )
    log.warning(
        "anyone who reaches this server may use it: it has no key and listens beyond loopback", host=config.host
    )
