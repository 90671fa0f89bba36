"""The viewer's camera path: key frames set from the page, kept as a path file, and recorded."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import viser
from PIL import Image

from clay4d.renderers.keyframes import KeyFrame, interpolate
from clay4d.renderers.video import write_video

if TYPE_CHECKING:
    from clay4d.renderers.viewer.viewer import Viewer

FPS = 30.0


class PathEditor:
    """Buttons of the viewer that make a path file, a picture or a video; files go to the browser."""

    def __init__(self, viewer: Viewer) -> None:
        self.viewer, self.keys = viewer, list[KeyFrame]()
        gui = viewer.server.gui
        with gui.add_folder("Camera path", expand_by_default=False):
            self._gap = gui.add_number("Seconds a key", 2.0, min=0.1, max=60.0, step=0.1)
            self._height = gui.add_number("Height", 400, min=16, max=2160, step=2)
            self._count = gui.add_markdown("No key frames.")
            buttons = {
                "Add key frame": self._add, "Remove the last": self._remove,
                "Save path": self._save, "Record path (mp4)": self._record,
                "Snapshot (png)": self._snapshot,
            }  # fmt: skip
            for label, act in buttons.items():
                gui.add_button(label).on_click(partial(_of_client, act))

    def path(self, width: int) -> dict[str, Any]:
        """The path as its file says it; `clay4d render --path` takes it."""
        rows = [key.to_json() for key in self.keys]
        size = {"width": width, "height": int(self._height.value)}
        return {**size, "fps": FPS, "keyframes": rows}

    def _add(self, client: viser.ClientHandle) -> None:
        camera = self.viewer.camera(client)
        at = self.keys[-1].at + float(self._gap.value) if self.keys else 0.0
        fov = math.degrees(client.camera.fov)
        self.keys.append(KeyFrame(at, float(camera.times[0]), camera.viewmats[0], fov))
        self._changed()

    def _remove(self, client: viser.ClientHandle) -> None:
        del self.keys[-1:]
        self._changed()

    def _changed(self) -> None:
        count = len(self.keys)
        text = f"{count} key frames, {self.keys[-1].at:.1f} s." if count else "No key frames."
        self._count.content = text
        if count > 1:
            way = interpolate(self.keys, width=8, height=8, fps=10).centres.numpy()
            line = np.stack([way[:-1], way[1:]], 1)
            self.viewer.server.scene.add_line_segments("/path", line, colors=(230, 120, 30))

    def _width(self, client: viser.ClientHandle) -> int:
        return self.viewer.camera(client, height=int(self._height.value)).width

    def _save(self, client: viser.ClientHandle) -> None:
        if self._ready(client):
            text = json.dumps(self.path(self._width(client)), indent=1, allow_nan=False)
            client.send_file_download("path.json", text.encode(), save_immediately=True)

    def _snapshot(self, client: viser.ClientHandle) -> None:
        camera = self.viewer.camera(client, height=int(self._height.value))
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "snapshot.png")
            Image.fromarray(self.viewer.picture(camera, self.viewer.look)).save(file)
            client.send_file_download(file.name, file.read_bytes(), save_immediately=True)

    def _record(self, client: viser.ClientHandle) -> None:
        if not self._ready(client):
            return
        size = {"width": self._width(client), "height": int(self._height.value)}
        cameras, look = interpolate(self.keys, **size, fps=FPS), self.viewer.look
        count = len(cameras)
        bar: Any = self.viewer.server.gui.add_progress_bar(0)
        try:
            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder, "path.mp4")

                def frames() -> Any:
                    for i in range(count):
                        yield self.viewer.picture(cameras[i], look)
                        bar.value = 100 * (i + 1) / count

                write_video(file, frames(), fps=FPS)
                client.send_file_download(file.name, file.read_bytes(), save_immediately=True)
        finally:
            bar.remove()

    def _ready(self, client: viser.ClientHandle) -> bool:
        if not self.keys:
            client.add_notification("No path", "Add a key frame first.", auto_close_seconds=5)
        return bool(self.keys)


def _of_client(act: Callable[[viser.ClientHandle], None], event: Any) -> None:
    act(event.client)
