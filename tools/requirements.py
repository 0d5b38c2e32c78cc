"""Print what the named extras of pyproject.toml require, one requirement a line.

    python tools/requirements.py [--lowest] EXTRA,...

pip can install these before the package itself is built. `--lowest` pins every lower bound.
"""

import re
import sys
from pathlib import Path

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    from pip._vendor import tomli as tomllib


def requirements(project, extras):
    """Dependencies of `project` with `extras`; references to its own extras are followed."""
    found = dict.fromkeys(project["dependencies"])
    waiting = list(extras)
    while waiting:
        extra = waiting.pop(0)
        if extra not in project["optional-dependencies"]:
            raise SystemExit(f"extra must be one of pyproject.toml's, got {extra}")
        for requirement in project["optional-dependencies"][extra]:
            own = re.fullmatch(rf"{project['name']}\[(.+)\]", requirement)
            if own:
                waiting += [name for name in own[1].split(",") if name not in waiting]
            else:
                found[requirement] = None
    return list(found)


def main(arguments):
    lowest = "--lowest" in arguments
    extras = [name for part in arguments if part != "--lowest" for name in part.split(",")]
    text = (Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8")
    for requirement in requirements(tomllib.loads(text)["project"], extras):
        print(re.sub(r">=([^,]+).*", r"==\1", requirement) if lowest else requirement)


if __name__ == "__main__":
    main(sys.argv[1:])
