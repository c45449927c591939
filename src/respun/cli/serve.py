"""`respun serve`: the server in the foreground."""

from typing import Any

import click

from respun.cli.options import Refusal, make_room, settings_of, settled_now, with_settings


@click.command()
@with_settings()
def serve(**flags: Any) -> None:
    """Serve the API until Ctrl-C.

    It listens on this machine only, unless --host says otherwise and a key was made. Every flag is also a RESPUN_*
    variable and a key of respun.toml.
    """
    settled = settings_of(flags)
    make_room(settled)
    from respun import telemetry
    from respun.cli.banner import announce
    from respun.settle import ConfigError
    from respun.store.backend import StorageUnavailable, StoreRefused
    from respun.web import server
    from respun.web.app import build

    telemetry.start(settled.config.log_level, settled.config.log_format)
    if settled.unknown:
        telemetry.log("server").warning("variables that are no settings", names=" ".join(settled.unknown))
    try:
        server.run(server.serve(settled.config, build, announce, lambda: settled_now(flags).config))
    except (server.ServeRefused, ConfigError, StoreRefused, StorageUnavailable) as error:
        raise Refusal(str(error)) from None
    except KeyboardInterrupt:
        raise click.exceptions.Exit(130) from None
