"""The error that a user can mend."""

from __future__ import annotations


class InputError(ValueError):
    """Input that a person typed or a file that they named is wrong.

    The message is one line that says what is wrong and how to mend it; the command line prints it
    without a traceback.
    """
