"""nerfstudio's own commands after `compat`: python -m clay4d.plugins.nerfstudio train …"""

from __future__ import annotations

import importlib
import sys

from clay4d.plugins.nerfstudio import compat

SCRIPTS = {
    "train": "nerfstudio.scripts.train",
    "eval": "nerfstudio.scripts.eval",
    "export": "nerfstudio.scripts.exporter",
    "viewer": "nerfstudio.scripts.viewer.run_viewer",
}


def main() -> int:
    """Run one of the commands; a mistake in the data is one line, as in clay4d itself."""
    command, args = sys.argv[1], sys.argv[2:]
    compat.make_ready()
    if command == "train":
        args = compat.on_cpu(args)
    if command == "viewer":
        args = compat.at_home(args)
    sys.argv = [f"clay4d ns-{command}", *args]
    try:
        importlib.import_module(SCRIPTS[command]).entrypoint()
    except (ValueError, FileNotFoundError) as error:
        print(f"clay4d: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
