"""The command of the viewer: view."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro


def view(
    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")],
    *,
    port: int = 8080,
    host: str = "127.0.0.1",
    data: Path | None = None,
) -> None:
    """Show a run in the browser, with a time slider, until Ctrl-C.

    Args:
        run: folder of a training run, or a scene's file such as .clay4d.
        port: port to listen at; the next free one if it is taken.
        host: 127.0.0.1 lets only this computer in, 0.0.0.0 the whole network.
        data: data whose cameras are shown, if it is not where the run was trained on it.
    """
    import threading

    from clay4d.cli import _check_run

    _check_run(run)
    from clay4d.jit import one_torch_thread
    from clay4d.training.memory import keep_freed_memory
    from clay4d.training.view import view as show

    # Numba's threads draw; torch's would only be in their way.
    one_torch_thread()
    keep_freed_memory(heaps=1)
    viewer = show(run, data=data, host=host, port=port)
    print(f"{viewer.url}  (without WebGL: {viewer.url}/frames); Ctrl-C ends it.", flush=True)
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        viewer.close()
