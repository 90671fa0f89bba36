"""`view`: a run, a file or a scene in the browser."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from clay4d.renderers.viewer import Viewer
from clay4d.scenes import Views
from clay4d.scenes.fields import AnyScene
from clay4d.scenes.loaders import load_dataset
from clay4d.training.run import load_run


def view(
    what: str | Path | AnyScene,
    *,
    data: str | Path | None = None,
    host: str = "127.0.0.1",
    port: int = 8080,
    backend: str = "auto",
) -> Viewer:
    """Show a run or a scene in the browser, until the viewer that this gives is closed.

    Args:
        what: folder of a run, a scene's file, or anything with `.at(time)`.
        data: posed pictures whose cameras are shown; by default the run's, if they are there.
        host: 127.0.0.1 lets only this computer in, 0.0.0.0 the whole network.
        port: the next free one if it is taken, any if it is 0.
        backend: as in `rasterization`, for the pictures of the server.

    Raises:
        FileNotFoundError: no such run or file.
        ValueError: a file that is no scene, a port out of range.
        OSError: no port is free.

    >>> import torch
    >>> from clay4d.scenes import Gaussians
    >>> from clay4d.scenes.motion import Static
    >>> from clay4d.scenes.splat_scene import SplatScene, raw_from_gaussians
    >>> g = Gaussians.from_points(torch.rand(9, 3), torch.rand(9, 3))
    >>> viewer = view(SplatScene(raw_from_gaussians(g), Static()), port=0)
    >>> viewer.url.startswith("http://127.0.0.1:")
    True
    >>> viewer.close()
    """
    if not 0 <= port < 65536:
        raise ValueError(f"port got {port}; expected 0 to 65535.")
    views: Views | None = None
    scene: AnyScene
    if isinstance(what, str | Path):
        scene, _, trained_on = load_run(what)
        if data is None and trained_on is not None and trained_on.exists():
            # A simulation without a rig has no posed pictures, and is shown without.
            with suppress(ValueError, FileNotFoundError):
                views = load_dataset(trained_on).train
    else:
        scene = what
    if data is not None:
        views = load_dataset(data).train
    return Viewer(scene, views=views, host=host, port=port, backend=backend)
