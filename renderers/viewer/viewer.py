"""The viewer: viser's page with a time slider, and a plain page of pictures for browsers without WebGL."""

from __future__ import annotations

import io
import math
import threading
import time as clock
import traceback
from functools import partial
from importlib.resources import files
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import torch
import viser
from PIL import Image
from scipy.spatial.transform import Rotation

from clay4d.pages import html_page
from clay4d.renderers.keyframes import pinhole
from clay4d.renderers.paths import focus_point, look_at
from clay4d.renderers.viewer.look import SHOWS, Look, draw, seen
from clay4d.renderers.viewer.path_editor import PathEditor
from clay4d.renderers.viewer.server import close_server, open_server
from clay4d.renderers.viewer.splats import BrowserSplats
from clay4d.renderers.viewer.turns import Turns
from clay4d.scenes import Cameras, Gaussians, Views
from clay4d.scenes.fields import AnyField, AnyScene

FRAME = 400
"""Height of the pictures that the rasteriser draws for a browser, pixels."""
FIELD_FRAME = 200
"""The same for radiance fields, which take longer."""
RATE = 30
"""Pictures a second that are drawn at the most while the scene plays."""
FRUSTUMS = 60
"""Training cameras that are shown at the most, evenly chosen."""


class Viewer:
    """Shows a scene in the browser until it is closed; all pages share time and colours.

    Args:
        scene: anything with `.at(time)`; radiance fields are drawn by the server alone.
        views: pictures whose cameras are shown as frustums; the page starts at the first of them.
        host, port: where to listen; the next free port if it is taken, any if it is 0.
        backend: as in `rasterization`, for the pictures of the server.
        turns: shared with a loop that changes the scene; it calls `changed` now and then.

    Raises:
        OSError: no port is free.
    """

    def __init__(
        self,
        scene: AnyScene,
        *,
        views: Views | None = None,
        host: str = "127.0.0.1",
        port: int = 8080,
        backend: str = "auto",
        turns: Turns | None = None,
    ) -> None:
        self.scene, self.backend = scene, backend
        # Numba's kernels take one caller at a time, and a scene that is trained stands still meanwhile.
        self._turns = Turns() if turns is None else turns
        self._version = 0
        self._wake, self._stopped = threading.Event(), threading.Event()
        self._drawn: dict[int, Any] = {}
        self._splats = BrowserSplats()
        self._pause: float | None = None
        # Browsers draw Gaussians.
        self._served = isinstance(scene, AnyField)
        self._height = FIELD_FRAME if self._served else FRAME
        means = (
            scene.occupied_points(0.0)
            if isinstance(scene, AnyField)
            else scene.at(0.0).means.detach()
        )
        quantiles = torch.tensor([0.02, 0.98])
        self._box = torch.quantile(means[:: max(1, len(means) // 100_000)], quantiles, dim=0)
        self._start = self._first_camera(views)
        self.server = open_server(host=host, port=port, page=self._page)
        self._build_gui()
        self._place_camera()
        if views is not None:
            self._add_frustums(views)
        self.server.on_client_connect(self._connected)
        self.server.on_client_disconnect(self._disconnected)
        self._worker = threading.Thread(target=self._work, daemon=True)
        self._worker.start()

    @property
    def url(self) -> str:
        """The page's address."""
        return f"http://{self.server.get_host()}:{self.server.get_port()}"

    def close(self) -> None:
        """Stop listening and drawing."""
        self._stopped.set()
        self._wake.set()
        self._worker.join(timeout=10)
        close_server(self.server)

    def changed(self) -> None:
        """Say that the scene is another now: pages are drawn again."""
        self._version += 1
        self._wake.set()

    @property
    def look(self) -> Look:
        """What the page's controls say."""
        low, high = zip(*(slider.value for slider in self._crop))
        crop = (low, high) if self._cropping.value else None
        red, green, blue = (channel / 255 for channel in self._background.value)
        return Look(self._show.value, (red, green, blue), crop)

    def camera(self, client: viser.ClientHandle, *, height: int | None = None) -> Cameras:
        """A page's camera, at the page's time."""
        height = self._height if height is None else height
        seen_by = client.camera
        view = torch.eye(4, dtype=torch.float64)
        R = Rotation.from_quat(seen_by.wxyz, scalar_first=True).as_matrix().T
        view[:3, :3] = torch.from_numpy(R)
        view[:3, 3] = torch.from_numpy(-R @ seen_by.position)
        width = max(1, min(4 * height, round(height * seen_by.aspect)))
        K = pinhole(math.degrees(seen_by.fov), width=width, height=height)
        return Cameras(view.float()[None], K[None], width, height, torch.tensor([self.time.value]))

    def picture(self, camera: Cameras, look: Look) -> np.ndarray[Any, Any]:
        """What our rasteriser draws, uint8 [H, W, 3]; one picture is drawn at a time."""
        with self._turns.taken():
            return draw(self.scene, camera, look, backend=self.backend)

    def _build_gui(self) -> None:
        gui = self.server.gui
        self.server.scene.set_up_direction("+z")
        gui.configure_theme(show_share_button=False)
        end = max(self.scene.duration, 1e-3)
        with gui.add_folder("Time"):
            self.time: Any = gui.add_slider(
                "Seconds", min=0.0, max=end, step=end / 1000, initial_value=0.0
            )
            self._playing: Any = gui.add_checkbox("Play", False)
            self._speed = gui.add_slider("Speed", min=0.1, max=4.0, step=0.1, initial_value=1.0)
        with gui.add_folder("Look"):
            drawers = ("server",) if self._served else ("browser", "server")
            hint = "Depth and alpha are always drawn by the server."
            self._drawer = gui.add_dropdown(
                "Drawn by", drawers, initial_value=drawers[0], hint=hint
            )
            self._show = gui.add_dropdown(
                "Show", SHOWS[:3] if self._served else SHOWS, initial_value="color"
            )
            shade = tuple(round(255 * channel) for channel in self.scene.background)
            self._background = gui.add_rgb("Background", (shade[0], shade[1], shade[2]))
            # Off at first: the page starts at one of them, and would see its picture alone.
            self._frustums = gui.add_checkbox("Cameras", False)
        with gui.add_folder("Crop", expand_by_default=False):
            self._cropping = gui.add_checkbox("Crop to the box", False)
            self._crop = [self._crop_slider(axis) for axis in range(3)]
        self._editor = PathEditor(self)
        gui.add_markdown("Drag turns, scroll zooms, W A S D Q E fly. No WebGL: [pictures](/frames)")
        watched = (
            self.time,
            self._drawer,
            self._show,
            self._background,
            self._cropping,
            *self._crop,
        )
        for control in (*watched, self._playing):
            control.on_update(lambda _: self._wake.set())
        self._frustums.on_update(lambda _: self._show_frustums())

    def _crop_slider(self, axis: int) -> Any:
        low, high = (float(x) for x in self._box[:, axis])
        room = max(high - low, 1e-3)
        return self.server.gui.add_multi_slider(
            "xyz"[axis], min=low - room, max=high + room, step=room / 100,
            initial_value=(low - room, high + room),
        )  # fmt: skip

    def _first_camera(self, views: Views | None) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], float]:  # fmt: skip
        """Where a page starts: eye, the point it looks at, vertical angle of view in radians."""
        centre = self._box.mean(0)
        if views is None:
            size = float((self._box[1] - self._box[0]).norm())
            eye = centre + max(size, 0.1) * torch.tensor([1.0, -1.0, 0.6])
            return eye.double().numpy(), centre.double().numpy(), math.radians(45)
        cameras = views.cameras
        eye, axis = cameras.centres[0], cameras.viewmats[0, 2, :3]
        focus = focus_point(cameras, fallback=centre)
        target = eye + axis * max(float((focus - eye) @ axis), 0.1)
        fov = 2 * math.atan(cameras.height / 2 / float(cameras.Ks[0, 1, 1]))
        return eye.double().numpy(), target.double().numpy(), fov

    def _place_camera(self) -> None:
        first = self.server.initial_camera
        first.position, first.look_at, first.fov = self._start

    def _add_frustums(self, views: Views) -> None:
        """Up to `FRUSTUMS` cameras with their pictures; a click on one goes to it."""
        cameras = views.cameras
        size = 0.06 * float(np.linalg.norm(self._start[0] - self._start[1]))
        self._cameras = []
        for i in np.unique(np.linspace(0, len(views) - 1, min(len(views), FRUSTUMS)).round()):
            i = int(i)
            small = Image.fromarray(_over(views.pixels(i), self.scene.background))
            small.thumbnail((96, 96))
            R = cameras.viewmats[i, :3, :3].double().numpy().T
            handle = self.server.scene.add_camera_frustum(
                f"/cameras/{i}", 2 * math.atan(cameras.height / 2 / float(cameras.Ks[i, 1, 1])),
                cameras.width / cameras.height, scale=size, image=np.asarray(small),
                wxyz=Rotation.from_matrix(R).as_quat(scalar_first=True),
                position=cameras.centres[i].double().numpy(), cast_shadow=False, color=(90, 90, 90),
                visible=self._frustums.value,
            )  # fmt: skip
            handle.on_click(partial(self._clicked, cameras[i]))
            self._cameras.append(handle)

    def _clicked(self, camera: Cameras, event: Any) -> None:
        self._go_to(event.client, camera)

    def _go_to(self, client: viser.ClientHandle, camera: Cameras) -> None:
        eye = camera.centres[0].double().numpy()
        R = camera.viewmats[0, :3, :3].double().numpy().T
        with client.atomic():
            client.camera.wxyz = Rotation.from_matrix(R).as_quat(scalar_first=True)
            client.camera.position = eye
        self.time.value = min(max(float(camera.times[0]), 0.0), self.time.max)

    def _show_frustums(self) -> None:
        for handle in getattr(self, "_cameras", []):
            handle.visible = self._frustums.value

    def _connected(self, client: viser.ClientHandle) -> None:
        client.camera.on_update(lambda _: self._wake.set())
        self._wake.set()

    def _disconnected(self, client: viser.ClientHandle) -> None:
        self._drawn.pop(client.client_id, None)
        self._splats.forget(client)

    def _work(self) -> None:
        """Play, and draw what has changed; pages wait for nothing but this."""
        last = clock.monotonic()
        while not self._stopped.is_set():
            self._wake.wait(timeout=1 / RATE if self._playing.value else self._pause)
            self._wake.clear()
            now = clock.monotonic()
            if self._playing.value and self.scene.duration > 0:
                moved = self.time.value + self._speed.value * min(now - last, 0.5)
                self.time.value = moved % self.time.max
            last = now
            if self._stopped.is_set():
                return
            try:
                self._refresh()
            except Exception:  # one moment that cannot be drawn must not end the viewer
                traceback.print_exc()
                self._playing.value = False
            if self._playing.value:  # the time's own change has woken us, and would without end
                self._stopped.wait(max(last + 1 / RATE - clock.monotonic(), 0.0))

    def _refresh(self) -> None:
        look = self.look
        in_browser = self._drawer.value == "browser" and look.show in ("color", "motion")
        self._splats.show(in_browser)
        pauses = []
        for client in self.server.get_clients().values():
            try:
                if in_browser:
                    key = self.time.value, look, self._version
                    pauses.append(self._splats.send(client, key, partial(self._taken, look)))
                self._send_frame(client, look, in_browser)
            except AssertionError:
                continue  # viser's sign that the page has not sent its camera yet: it wakes us then
        self._pause = min((p for p in pauses if p is not None), default=None)

    def _taken(self, look: Look) -> Gaussians:
        """The Gaussians now, copies: what is trained changes while they are sent."""
        assert not isinstance(self.scene, AnyField)
        with self._turns.taken(), torch.no_grad():
            now = seen(self.scene, self.time.value, look)
            return Gaussians(**{name: value.clone() for name, value in now.tensors().items()})

    def _send_frame(self, client: viser.ClientHandle, look: Look, in_browser: bool) -> None:
        if in_browser:
            key: Any = look.background
        else:
            camera = self.camera(client)
            seen_from = camera.viewmats.numpy().tobytes(), camera.Ks.numpy().tobytes()
            key = (look, self.time.value, self._version, seen_from)
        if self._drawn.get(client.client_id) == key:
            return
        self._drawn[client.client_id] = key
        shade = np.array(self._background.value, np.uint8)
        image = np.full((2, 2, 3), shade) if in_browser else self.picture(camera, look)
        if client.client_id in self.server.get_clients():  # a page may go while it is drawn for
            client.scene.set_background_image(image, format="jpeg", jpeg_quality=90)

    def _page(self, request: str) -> tuple[str, bytes] | None:
        """The plain page and its pictures, which are functions of their address alone."""
        parts = urlsplit(request)
        if parts.path == "/frames":
            return "text/html; charset=utf-8", self._plain_page().encode()
        if parts.path != "/frame.jpg":
            return None
        try:
            camera, look = self._asked({k: v[0] for k, v in parse_qs(parts.query).items()})
        except (KeyError, ValueError) as error:
            return "text/plain", f"frame got {error}; expected azimuth, elevation, zoom.".encode()
        buffer = io.BytesIO()
        Image.fromarray(self.picture(camera, look)).save(buffer, "JPEG", quality=90)
        return "image/jpeg", buffer.getvalue()

    def _plain_page(self) -> str:
        parts = {k: files(__package__).joinpath(f"frames.{k}").read_text(encoding="utf-8") for k in ("html", "css", "js")}  # fmt: skip
        body = parts["html"].replace("DURATION", str(self.scene.duration))
        return html_page(title="clay4d", body=body, style=parts["css"], script=parts["js"], served=True)  # fmt: skip

    def _asked(self, query: dict[str, str]) -> tuple[Cameras, Look]:
        turn, rise, zoom, time = (float(query[k]) for k in ("azimuth", "elevation", "zoom", "time"))
        show = next((s for s in SHOWS if s == query.get("show", "color")), None)
        if show is None:
            raise ValueError(f"show {query['show']!r}")
        if not (all(map(math.isfinite, (turn, rise, zoom, time))) and 0.01 < zoom < 100):
            raise ValueError("a number out of range")
        eye, target, fov = (torch.tensor(x, dtype=torch.float64) for x in self._start)
        x, y, z = (eye - target).tolist()
        radius = math.sqrt(x * x + y * y + z * z)
        azimuth = math.atan2(y, x) + turn
        elevation = max(-1.5, min(1.5, math.asin(max(-1.0, min(1.0, z / radius))) + rise))
        flat = math.cos(elevation)
        away = torch.tensor(
            [flat * math.cos(azimuth), flat * math.sin(azimuth), math.sin(elevation)]
        )
        view = look_at((target + zoom * radius * away)[None].float(), target.float())
        K = pinhole(math.degrees(float(fov)), width=self._height, height=self._height)
        now = min(max(time, 0.0), self.scene.duration)
        return Cameras(view, K[None], self._height, self._height, torch.tensor([now])), Look(
            show, self.look.background
        )


def _over(pixels: np.ndarray[Any, Any], shade: tuple[float, float, float]) -> np.ndarray[Any, Any]:
    """A picture [H, W, 3 or 4] over a colour, so that what it cuts out stands on what the scene stands on."""
    if pixels.shape[2] == 3:
        return pixels
    alpha = pixels[..., 3:] / 255
    mixed = pixels[..., :3] * alpha + 255 * np.array(shade) * (1 - alpha)
    over: np.ndarray[Any, Any] = np.rint(mixed).astype(np.uint8)
    return over
