"""The group of subcommands: one file each, imported only when asked for."""

from __future__ import annotations

import importlib
import pkgutil
from difflib import get_close_matches

import click

import thalweg
import thalweg.cli


class Folder(click.Group):
    """A group whose subcommands are the public modules of `thalweg.cli`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        names = (module.name for module in pkgutil.iter_modules(thalweg.cli.__path__))
        return sorted(name.replace("_", "-") for name in names if not name.startswith("_"))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        known = self.list_commands(ctx)
        if cmd_name not in known:
            near = get_close_matches(cmd_name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}."
            raise click.UsageError(f"unknown command {cmd_name!r}; {hint}", ctx)
        module = importlib.import_module(f"thalweg.cli.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command


@click.group(cls=Folder)
@click.version_option(thalweg.__version__, prog_name="thalweg")
def group() -> None:
    """Optimization for people who train, fit and search."""
