"""What every test relies on."""

import signal


def pytest_configure() -> None:
    """Take Ctrl-C as a terminal sends it: a run in the background starts with it ignored."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
