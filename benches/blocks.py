"""Every comparison of the block methods, each in a process of its own.

    python benches/blocks.py [fractional cyclic dictionary topo network]

Each name runs `benches/blocks_NAME.py`, whose header says what is compared and which options it
takes. `topo` and `network` run only where the environment names folders of the published codes,
TOPO_PEER and BCD_PEER.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

NAMES = ["fractional", "cyclic", "dictionary", "topo", "network"]
PEERS = {"topo": "TOPO_PEER", "network": "BCD_PEER"}


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="all by default")
    names = parser.parse_args().names or NAMES
    unknown = sorted(set(names) - set(NAMES))
    if unknown:
        parser.error(f"NAME must be among {', '.join(NAMES)}, got {unknown[0]}")
    for name in names:
        command = [sys.executable, str(Path(__file__).with_name(f"blocks_{name}.py"))]
        if name in PEERS:
            folder = os.environ.get(PEERS[name])
            if folder is None:
                print(f"{name}: left out, set {PEERS[name]} to a folder of the published code")
                continue
            command += ["--peer", folder]
        print(f"\n{name}", flush=True)
        subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
