"""The viewer in a real browser: no errors, nothing from outside, and pictures that are ours."""

from __future__ import annotations

import dataclasses
import io
import itertools
import json
import logging
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from PIL import Image
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from clay4d.renderers import render
from clay4d.renderers.keyframes import KeyFrame
from clay4d.renderers.paths import look_at, read_path
from clay4d.renderers.viewer import Viewer
from clay4d.renderers.viewer import server as server_module
from clay4d.renderers.viewer.look import Look, covariances, draw, seen
from clay4d.renderers.viewer.server import close_server, open_server
from clay4d.renderers.viewer.splats import colours_from, leant_covariances
from clay4d.renderers.viewer.viewer import _over
from clay4d.scenes import Cameras, Gaussians
from clay4d.scenes.fields import (
    AnyField,
    FieldScene,
    FieldSize,
    KPlanes,
    ObjectField,
    ObjectFields,
    all_occupied,
)
from clay4d.scenes.motion import RigidPaths


class Moving:
    """A red blob that crosses from left to right in a second, and a blue one that stands."""

    duration = 1.0
    background = (1.0, 1.0, 1.0)

    def at(self, time: float) -> Gaussians:
        means = torch.tensor([[-1 + 2 * time, 0.0, 0.0], [0.0, 0.0, 0.7]])
        colors = torch.tensor([[0.9, 0.1, 0.1], [0.1, 0.2, 0.9]])
        size = {"scales": torch.full((2, 3), 0.2), "opacities": torch.full((2,), 0.95)}
        return Gaussians.from_points(means, colors, **size)


@pytest.fixture(scope="module")
def viewer() -> Iterator[Viewer]:
    made = Viewer(Moving(), port=0, backend="reference")
    yield made
    made.close()


def opened(browser: Any, url: str) -> tuple[Any, list[str], list[str]]:
    """A page, its errors so far, and the addresses that it asked for."""
    page = browser.new_page(viewport={"width": 1200, "height": 600})
    errors: list[str] = []
    asked: list[str] = []
    page.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda e: errors.append(str(e)))
    page.on("request", lambda r: asked.append(r.url))
    page.goto(url)
    return page, errors, asked


def pixels(page: Any) -> np.ndarray[Any, Any]:
    return np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("RGB")).astype(int)


def fetched(url: str, **headers: str) -> bytes:
    request = urllib.request.Request(url, headers=headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return bytes(answer.read())


def test_the_page_shows_the_scene_and_the_slider_moves_it(viewer: Viewer, browser: Any) -> None:
    page, errors, asked = opened(browser, viewer.url)
    page.get_by_text("Camera path").wait_for(timeout=60_000)
    for drawer in ("browser", "server"):
        viewer._drawer.value = drawer
        viewer.time.value = 0.0
        viewer._wake.set()
        page.wait_for_timeout(3000)
        first = pixels(page)
        viewer.time.value = 0.3
        viewer._wake.set()
        page.wait_for_timeout(3000)
        second = pixels(page)
        red = [(p[..., 0] - p[..., 1] > 80) & (p[..., 2] < 160) for p in (first, second)]
        assert red[0].sum() > 200 and red[1].sum() > 200, drawer
        assert np.nonzero(red[0])[1].mean() + 30 < np.nonzero(red[1])[1].mean(), drawer
    # The server's picture on the page is the rasteriser's own, scaled and as JPEG.
    client = next(iter(viewer.server.get_clients().values()))
    ours = viewer.picture(viewer.camera(client, height=600), viewer.look).astype(int)
    middle = slice(200, 420)
    assert np.abs(second[middle, :300] - ours[middle, :300]).mean() < 4
    page.close()
    assert all(a.startswith((viewer.url, "blob:", "data:")) for a in asked), asked
    # viser 1.1.1's splat mesh has no bounding sphere and three.js says so; nothing is amiss.
    assert not [e for e in errors if "computeBoundingSphere" not in e]


def test_without_webgl_the_plain_page_plays(viewer: Viewer, browser: Any) -> None:
    page, errors, asked = opened(browser, f"{viewer.url}/frames")
    for _ in range(
        300
    ):  # not wait_for_function, which evaluates in the page: its policy forbids that
        if page.evaluate("document.querySelector('img').naturalWidth > 0"):
            break
        page.wait_for_timeout(100)
    page.wait_for_timeout(500)
    first = pixels(page)
    page.evaluate("const t=document.querySelector('#time'); t.value=1; t.oninput()")
    page.wait_for_timeout(2000)
    assert np.abs(pixels(page) - first).mean() > 1
    page.close()
    assert not errors and all(a.startswith((viewer.url, "data:")) for a in asked)


def test_a_frame_is_a_function_of_its_address(viewer: Viewer) -> None:
    address = f"{viewer.url}/frame.jpg?azimuth=0.3&elevation=0.1&zoom=1&show=color&time="
    assert fetched(address + "0.5") == fetched(address + "0.5")
    assert fetched(address + "0.5") != fetched(address + "0.9")
    assert fetched(address + "nan").startswith(b"frame got")
    assert fetched(f"{viewer.url}/frame.jpg?zoom=1").startswith(b"frame got")


def test_pages_of_others_are_refused(viewer: Viewer) -> None:
    with pytest.raises(urllib.error.HTTPError, match="403"):
        fetched(viewer.url, Host="evil.example")
    with pytest.raises(InvalidStatus, match="403"):
        connect(viewer.url.replace("http", "ws"), origin="http://evil.example")  # type: ignore[arg-type]


@pytest.mark.parametrize("said", [b"", b"GET / HT", b"nonsense\r\n\r\n"])
def test_who_asks_nothing_leaves_no_traceback(
    said: bytes, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    # viser mutes its server's logger for good at the first request of a process.
    told = logging.getLogger(f"{__name__}.{said!r}")
    told.filters = [server_module._of_a_request]
    monkeypatch.setattr(server_module, "_told", told)

    def page(path: str) -> None:
        raise RuntimeError("of a page")

    server = open_server(host="127.0.0.1", port=0, page=page)
    address = ("127.0.0.1", server.get_port())
    with socket.create_connection(address) as visitor:
        visitor.sendall(said)
    # What goes wrong while a page is made is told still, once its visitor has the answer.
    with pytest.raises(urllib.error.HTTPError, match="500"):
        urllib.request.urlopen(f"http://127.0.0.1:{address[1]}/", timeout=60)
    end = time.monotonic() + 30
    while not caplog.records and time.monotonic() < end:
        time.sleep(0.05)
    close_server(server)
    assert [str(r.exc_info[1]) for r in caplog.records if r.exc_info] == ["of a page"]


def test_the_editors_file_is_a_path_file(viewer: Viewer, tmp_path: Path) -> None:
    editor = viewer._editor
    moved = torch.eye(4)
    moved[2, 3] = 3.0
    editor.keys = [KeyFrame(0.0, 0.0, torch.eye(4), 50.0), KeyFrame(2.0, 1.0, moved, 40.0)]
    file = tmp_path / "path.json"
    file.write_text(json.dumps(editor.path(600)))
    cameras, fps = read_path(file)
    assert (len(cameras), fps, cameras.width, cameras.height) == (61, 30.0, 600, 400)
    assert float(cameras.times[-1]) == 1.0


def test_motion_crop_depth_and_alpha() -> None:
    scene = Moving()
    K = torch.tensor([[60.0, 0, 32], [0, 60, 32], [0, 0, 1]])
    view = torch.eye(4)
    view[2, 3] = 4.0
    camera = Cameras(view[None], K[None], 64, 64, torch.tensor([0.5]))
    moving = 0.5 + 0.28209479 * seen(scene, 0.5, Look("motion")).sh[:, 0]
    assert moving[0, 0] > 0.95 and torch.allclose(moving[1], torch.full((3,), 0.5), atol=1e-3)
    assert len(seen(scene, 0.5, Look(crop=((-1, -1, -1), (1, 1, 0.5))))) == 1
    pictures = {s: draw(scene, camera, Look(s), backend="reference") for s in ("color", "depth", "alpha")}  # fmt: skip
    assert pictures["color"][0, 0].tolist() == [255, 255, 255]
    assert pictures["alpha"][0, 0].tolist() == [0, 0, 0] and pictures["alpha"].max() > 230
    assert pictures["depth"][0, 0].tolist() == [0, 0, 0] and pictures["depth"].max() > 50


def test_small_gaussians_are_drawn_as_the_scene_was_trained() -> None:
    """Antialiased scenes in the viewer's pictures, too, cropped or not."""
    scene = Moving()
    scene.near, scene.eps2d, scene.antialiased = 0.01, 0.1, True  # type: ignore[attr-defined]
    K = torch.tensor([[4.0, 0, 8], [0, 4, 8], [0, 0, 1]])
    view = torch.eye(4)
    view[2, 3] = 4.0
    camera = Cameras(view[None], K[None], 16, 16, torch.tensor([0.5]))
    truth = render(scene, camera, depth=False, backend="reference").images[0]
    for look in (Look(), Look(crop=((-9.0, -9, -9), (9, 9, 9)))):
        shown = draw(scene, camera, look, backend="reference")
        assert np.abs(shown - 255 * truth.clamp(0, 1).numpy()).max() <= 0.51
    plain = render(scene.at(0.5), camera, depth=False, backend="reference", background=(1, 1, 1))
    assert (plain.images[0] - truth).abs().max() > 0.05, "the plain way would be seen"


def test_what_a_picture_cuts_out_stands_on_the_scenes_background() -> None:
    picture = np.array([[[10, 20, 30, 255], [200, 0, 0, 0], [100, 100, 100, 51]]], np.uint8)
    over = _over(picture, (1.0, 1.0, 0.0))
    assert over[0].tolist() == [[10, 20, 30], [255, 255, 0], [224, 224, 20]]
    assert np.array_equal(_over(picture[..., :3], (1.0, 1.0, 1.0)), picture[..., :3])


def test_covariances_turn_with_the_quaternions() -> None:
    quarter = torch.tensor([[2.0, 0, 0, 2.0]])  # 90° about z, not normalised
    scales = torch.tensor([[1.0, 2.0, 3.0]])
    one = Gaussians.from_points(torch.zeros(1, 3), torch.ones(1, 3), quats=quarter, scales=scales)
    torch.testing.assert_close(covariances(one)[0], torch.diag(torch.tensor([4.0, 1.0, 9.0])))


def test_a_page_follows_a_scene_that_changes(browser: Any) -> None:
    scene = Moving()
    made = Viewer(scene, port=0, backend="reference")
    page, _, _ = opened(browser, made.url)
    page.get_by_text("Camera path").wait_for(timeout=60_000)
    for _ in range(30):  # until the page stands still
        first = pixels(page)
        page.wait_for_timeout(1000)
        if np.array_equal(first, pixels(page)):
            break
    scene.at = lambda time: Moving().at(1.0)  # type: ignore[method-assign]
    page.wait_for_timeout(1000)
    assert np.abs(pixels(page) - first).mean() < 0.01, "nobody has said so yet"
    made.changed()
    page.wait_for_timeout(4000)
    assert np.abs(pixels(page) - first).mean() > 0.1
    page.close()
    made.close()


def redness(picture: np.ndarray[Any, Any]) -> int:
    """Red less blue where a picture is brightest."""
    flat = picture.reshape(-1, 3).astype(int)
    brightest = flat[flat.sum(1).argmax()]
    return int(brightest[0] - brightest[2])


class TwoSided:
    """A ball that is red from one side and blue from the other, on black."""

    duration, background = 0.0, (0.0, 0.0, 0.0)

    def at(self, time: float) -> Gaussians:
        sh = torch.zeros(1, 4, 3)
        sh[0, 3] = torch.tensor([1.0, 0.0, -1.0])  # along -x
        one = {"scales": torch.full((1, 3), 0.3), "opacities": torch.full((1,), 0.99)}
        still = Gaussians.from_points(torch.zeros(1, 3), torch.full((1, 3), 0.5), **one)
        return dataclasses.replace(still, sh=torch.cat([still.sh, sh[:, 1:]], 1))


def test_the_browser_shows_the_colours_of_the_pages_side(browser: Any) -> None:
    made = Viewer(TwoSided(), port=0, backend="reference")
    page, _, _ = opened(browser, made.url)
    page.get_by_text("Camera path").wait_for(timeout=60_000)
    page.wait_for_timeout(3000)
    client = next(iter(made.server.get_clients().values()))
    redder = []
    for side in (3.0, -3.0):
        client.camera.position = np.array([side, 0.3, 0.0])
        client.camera.look_at = np.zeros(3)
        ours = made.picture(made.camera(client), made.look)
        truth = redness(ours)
        for _ in range(30):  # until the page has it
            page.wait_for_timeout(1000)
            if abs(redness(pixels(page)[220:380, 480:720]) - truth) < 30:
                break
        redder += [redness(pixels(page)[220:380, 480:720]), truth]
    page.close()
    made.close()
    assert redder[0] * redder[2] < 0 and min(map(abs, redder)) > 60, redder
    assert abs(redder[0] - redder[1]) < 30 and abs(redder[2] - redder[3]) < 30, redder


def long_axis(covariance: Any, right: Any, down: Any, focal: float) -> np.ndarray[Any, Any]:
    """What viser 1.1.1's vertex shader (GaussianSplatsHelpers.ts) normalises, in its precision."""
    half = covariance.astype(np.float16).astype(np.float32)
    rows = np.float32(focal) * np.stack([right, down]).astype(np.float32)
    xx, xy, _, yy = (rows @ half @ rows.T + np.float32(0.3) * np.eye(2, dtype=np.float32)).ravel()
    larger = (xx + yy) / 2 + np.hypot((xx - yy) / 2, xy)
    return np.array([xy, larger - xx])


@pytest.mark.parametrize("size", [1e-4, 1e-2, 0.3, 10.0])
@pytest.mark.parametrize("shape", [(1.0, 1.0, 1.0), (1.0, 1.0, 3.0), (3.0, 1.0, 2.0)])
def test_no_gaussian_is_lost_in_the_page(size: float, shape: tuple[float, ...]) -> None:
    scales = torch.tensor([shape]) * size
    one = Gaussians.from_points(torch.zeros(1, 3), torch.zeros(1, 3), scales=scales)
    sent, exact = leant_covariances(one)[0], covariances(one)[0]
    for away in itertools.product((-1.0, 0.0, 1.0), (-1.0, 1.0), (-1.0, 0.0, 1.0)):
        view = look_at(torch.tensor([away]), torch.zeros(3))[0, :3, :3].double().numpy()
        for focal in (100.0, 211.2, 241.4):
            axis = long_axis(sent.numpy(), view[0].round(15), view[1].round(15), focal)
            assert np.abs(axis).max() > 0, (away, focal)
    most = max(1e-3 * float(exact.diagonal().min()), 3 * 2**-24)
    assert float((sent - exact).abs().max()) < 1.01 * most, "nobody sees the difference"


def test_a_page_that_goes_while_it_is_drawn_for_is_not_written_to(viewer: Viewer) -> None:
    class Gone:
        client_id, scene = 1 << 30, None

    viewer._send_frame(Gone(), viewer.look, True)  # type: ignore[arg-type]


def test_colours_are_the_rasterisers() -> None:
    g = torch.Generator().manual_seed(0)
    many = Gaussians.from_points(torch.randn(50, 3, generator=g), torch.rand(50, 3, generator=g))
    many = dataclasses.replace(many, sh=0.3 * torch.randn(50, 16, 3, generator=g))
    eye = np.array([0.3, -4.0, 1.0])
    K = torch.tensor([[900.0, 0, 1], [0, 900, 1], [0, 0, 1]])
    for i in range(0, 50, 7):
        one = Gaussians(**{n: v[i : i + 1].clone() for n, v in many.tensors().items()})
        one = dataclasses.replace(one, opacities=torch.ones(1), scales=torch.ones(1, 3))
        view = look_at(torch.from_numpy(eye)[None].float(), one.means[0])
        camera = Cameras(view, K[None], 2, 2, torch.zeros(1))
        drawn = render(one, camera, depth=False, backend="reference").images[0, 1, 1]
        assert torch.allclose(drawn.clamp(0, 1), colours_from(one, eye)[0], atol=2e-3)


def test_snapshot_and_record_come_as_files(viewer: Viewer, browser: Any, tmp_path: Path) -> None:
    page, _, _ = opened(browser, viewer.url)
    page.get_by_text("Camera path").click(timeout=60_000)
    viewer._editor.keys = []
    viewer._editor._height.value, viewer._editor._gap.value = 64, 0.1
    viewer.time.value = 0.4
    page.wait_for_timeout(1000)
    with page.expect_download(timeout=60_000) as download:
        page.get_by_text("Snapshot (png)").click()
    download.value.save_as(tmp_path / "snapshot.png")
    shown = np.asarray(Image.open(tmp_path / "snapshot.png"))
    client = next(iter(viewer.server.get_clients().values()))
    ours = viewer.picture(viewer.camera(client, height=64), viewer.look)
    assert shown.shape == ours.shape and np.abs(shown.astype(int) - ours).max() <= 1
    assert ours.std() > 5, "there is something to see"
    for _ in range(2):
        page.get_by_text("Add key frame").click()
        page.wait_for_timeout(500)
    with page.expect_download(timeout=120_000) as download:
        page.get_by_text("Record path (mp4)").click()
    download.value.save_as(tmp_path / "path.mp4")
    with av.open(str(tmp_path / "path.mp4")) as film:
        frames = [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]
    assert len(frames) == 4  # 0.1 s at 30 a second, both ends
    assert frames[0].shape == shown.shape and np.abs(frames[0].astype(int) - shown).mean() < 6
    page.close()
    viewer._editor.keys = []


def field_scene() -> FieldScene:
    torch.manual_seed(0)
    field = KPlanes(resolution=8, time_resolution=3, levels=1)
    box = torch.tensor([[-1.0] * 3, [1.0] * 3])
    return FieldScene(field, box, all_occupied(2, 8), 1.0, (1.0, 1.0, 1.0), 32)


def objects_scene() -> ObjectFields:
    paths, looks = RigidPaths(objects=1, knots=1), torch.zeros(1, 4)
    stage = Gaussians.from_points(torch.zeros(1, 3), torch.zeros(1, 3))
    field = ObjectField(FieldSize(hidden=8), looks=4)
    return ObjectFields(field, looks, paths, stage, 1.0, (1.0, 1.0, 1.0))


@pytest.mark.parametrize("scene", [field_scene, objects_scene])
def test_a_radiance_field_is_drawn_by_the_server(scene: Callable[[], AnyField]) -> None:
    made = Viewer(scene(), port=0)
    try:
        asked = f"{made.url}/frame.jpg?azimuth=0&elevation=0&zoom=1&time=0.5"
        picture = np.asarray(Image.open(io.BytesIO(fetched(asked))))
    finally:
        made.close()
    assert picture.shape == (200, 200, 3)
    assert picture[0, 0].min() > 240
    assert picture[100, 100].min() < 240


def test_a_crop_of_a_field_leaves_nothing_outside() -> None:
    scene = field_scene()
    view = torch.eye(4)
    view[2, 3] = 4.0
    K = torch.tensor([[40.0, 0, 20], [0, 40, 20], [0, 0, 1]])
    camera = Cameras(view[None], K[None], 40, 40, torch.zeros(1))
    crop = ((0.0, -1.0, -1.0), (1.0, 1.0, 1.0))
    whole = draw(scene, camera, Look("alpha"))
    part = draw(scene, camera, Look("alpha", crop=crop))
    assert whole[20, 14].min() > 20
    assert part[20, 14].max() == 0
    assert part[20, 26].min() > 20
    depth = draw(scene, camera, Look("depth"))
    assert depth.shape == (40, 40, 3)
