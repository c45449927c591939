"""The verbs of `respun`. Without a verb it serves: `respun --port 9000` is `respun serve --port 9000`."""

from importlib import import_module
from typing import Final

import click

from respun import __version__

# Verb, where it is, and its line in `respun --help`, which imports none of them.
_VERBS: Final = {
    "serve": ("respun.cli.serve:serve", "Serve the API (the default verb)."),
    "demo": ("respun.cli.demo:demo", "Hold a short conversation with a server of its own, and end."),
    "doctor": ("respun.cli.doctor:doctor", "Say what works here, and what to do about the rest."),
    "config": ("respun.cli.settings:config", "Show every setting, and where its value comes from."),
    "keys": ("respun.cli.keys:keys", "Make, list and revoke keys."),
    "files": ("respun.cli.files:files", "Bring files to a running server."),
    "models": ("respun.cli.models:models", "List the models respun can run itself, and fetch one."),
}


class Verbs(click.Group):
    """Finds a verb when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _VERBS:
            return None
        module, _, name = _VERBS[cmd_name][0].partition(":")
        command = getattr(import_module(module), name)
        assert isinstance(command, click.Command)
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        own = ("--help", "-h", "--version")
        if not args or (args[0].startswith("-") and args[0] not in own):
            args = ["serve", *args]
        return super().parse_args(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl([(verb, line) for verb, (_, line) in _VERBS.items()])


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, "--version", message="respun %(version)s")
def respun() -> None:
    """Your Assistants API code, still working: assistants, threads and runs on your own machine, with any model."""
