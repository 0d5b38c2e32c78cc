"""The command `thalweg`.

A subcommand is a file of this folder: `thalweg NAME` runs the click command `command` of
`thalweg/cli/NAME.py`. Nothing else needs to know it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from thalweg._errors import InputError
from thalweg._extras import require

BAD_INPUT = 2
INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; what the user can mend is said in one line on stderr.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments without the program's name; those of the process by default.

    Returns
    -------
    int
        Exit code: 0 done, 2 bad input or a missing extra, 130 interrupted.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        click = require("click")
        require("rich")
    except ImportError as error:
        return _refuse(str(error))

    from thalweg.cli._group import group

    try:
        code = group.main(arguments or ["--help"], prog_name="thalweg", standalone_mode=False)
    except click.UsageError as error:
        return _refuse(f"{error.format_message()} See {_path(error)} --help.")
    except click.ClickException as error:
        return _refuse(error.format_message())
    except InputError as error:
        return _refuse(str(error))
    except (KeyboardInterrupt, click.Abort):
        print("thalweg: interrupted", file=sys.stderr)
        return INTERRUPTED
    return code if isinstance(code, int) else 0


def _path(error: object) -> str:
    context = getattr(error, "ctx", None)
    return context.command_path if context is not None else "thalweg"


def _refuse(message: str) -> int:
    print(f"thalweg: {' '.join(message.split())}", file=sys.stderr)
    return BAD_INPUT
