"""The player's page in a real browser: our rasteriser's pictures, no errors, nothing from outside."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from clay4d.renderers import render
from clay4d.renderers.player import read_player, write_player
from clay4d.scenes import Cameras, Gaussians, Scene
from clay4d.scenes.exchange import read_ply_sequence, write_ply
from clay4d.scenes.motion import Static
from clay4d.scenes.quaternions import from_rotation_vector, multiply, rotate
from clay4d.scenes.splat_scene import SplatScene, raw_from_gaussians

Page = tuple[Any, list[str]]


class Cloud:
    """Coloured needles and specks that turn and drift to the right, with colours of degree 2."""

    duration = 2.0
    background = (0.9, 0.95, 1.0)
    near = 0.05

    def __init__(self, *, antialiased: bool = False, seed: int = 1) -> None:
        self.antialiased, self.eps2d = antialiased, 0.1 if antialiased else 0.3
        g = torch.Generator().manual_seed(seed)
        n = 500
        self.means = 0.7 * torch.randn(n, 3, generator=g)
        self.quats = torch.nn.functional.normalize(torch.randn(n, 4, generator=g), dim=1)
        self.scales = torch.exp(torch.randn(n, 3, generator=g) - 5)
        self.opacities = torch.rand(n, generator=g) * 0.9 + 0.05
        self.sh = 0.4 * torch.randn(n, 9, 3, generator=g)

    def at(self, time: float) -> Gaussians:
        turn = from_rotation_vector(torch.tensor([0.0, 0.3, 1.0]) * time).expand(len(self.means), 4)
        means = rotate(turn, self.means) + torch.tensor([0.3 * time, 0.0, 0.0])
        return Gaussians(means, multiply(turn, self.quats), self.scales, self.opacities, self.sh)


def camera() -> Cameras:
    """Beside the cloud, a little off the middle, as data's cameras are."""
    K = torch.tensor([[300.0, 0, 152], [0, 310, 104], [0, 0, 1]])
    view = torch.tensor([[1.0, 0, 0, 0.1], [0, 0, -1, 0.2], [0, 1, 0, 4], [0, 0, 0, 1]])
    return Cameras(view[None], K[None], 300, 200, torch.zeros(1))


def opened(
    browser: Any, path: Path, *, script: str = "", size: tuple[int, int] = (420, 400)
) -> Page:
    """The page once it is ready, and everything it complained about or asked of the network."""
    page = browser.new_page(viewport={"width": size[0], "height": size[1]})
    faults: list[str] = []
    page.on("console", lambda m: faults.append(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda e: faults.append(str(e)))
    page.on("dialog", lambda d: (faults.append("dialog"), d.dismiss()))
    own = (path.as_uri(), "blob:", "data:")
    page.on("request", lambda r: None if r.url.startswith(own) else faults.append(r.url))
    page.add_init_script(script)
    page.goto(path.as_uri())
    page.locator("body[data-state]").wait_for(state="attached", timeout=60_000)
    return page, faults


def settled(page: Any, change: str = "") -> None:
    page.evaluate(f"async () => {{ {change}; await player.settled() }}")


def canvas(page: Any) -> np.ndarray[Any, Any]:
    return np.asarray(Image.open(io.BytesIO(page.locator("canvas").screenshot())).convert("RGB"))


def ours(page: Any, scene: Scene, pane: int = 0) -> np.ndarray[Any, Any]:
    """What the rasteriser makes of what the page says it shows in one of its panes."""
    state = page.evaluate("player.state()")
    said = state["panes"][pane]
    (fx, fy), (cx, cy), part = said["focal"], said["centre"], said["part"]
    K = torch.tensor([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
    view = torch.tensor(said["view"]).reshape(4, 4).T
    now = Cameras(view[None], K[None], part["width"], part["height"], torch.tensor([state["time"]]))
    drawn = render(scene, now, depth=False).images[0]
    return np.asarray((drawn.clamp(0, 1) * 255).round())


def psnr(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> float:
    return float(-10 * np.log10(((a.astype(float) - b) ** 2).mean() / 255**2))


@pytest.mark.parametrize("antialiased", [False, True])
def test_the_page_shows_what_our_rasteriser_draws(
    antialiased: bool, browser: Any, tmp_path: Path
) -> None:
    scene, path = Cloud(antialiased=antialiased), tmp_path / "a.html"
    write_player(path, {"cloud": scene}, cameras=camera())
    page, faults = opened(browser, path)
    for time in (0.0, 1.37):
        settled(page, f"player.seek({time})")
        seen = canvas(page)
        truth = ours(page, scene)
        assert truth.std() > 10, "there is something to see"
        # On the file's own numbers only the blending differs; the scene's are rounded besides.
        kept = read_player(path)[0]
        assert psnr(seen, ours(page, kept)) > 52
        assert psnr(seen, truth) > 38
        # The other way of drawing small Gaussians would be seen.
        other = dataclasses.replace(kept, antialiased=not antialiased)
        assert psnr(seen, ours(page, other)) < 48
    page.close()
    assert faults == []


def test_the_first_picture_is_the_data_s_first_camera_s(browser: Any, tmp_path: Path) -> None:
    scene, path = Cloud(), tmp_path / "a.html"
    write_player(path, {"cloud": scene}, cameras=camera())
    page, _ = opened(browser, path)
    pane = page.evaluate("player.state()")["panes"][0]
    scale = min(pane["part"]["width"] / 300, pane["part"]["height"] / 200)
    assert np.allclose(np.reshape(pane["view"], (4, 4)).T, camera().viewmats[0], atol=1e-6)
    assert np.allclose(pane["focal"], [300 * scale, 310 * scale])
    middle = [pane["part"]["width"] / 2 + 2 * scale, pane["part"]["height"] / 2 + 4 * scale]
    assert np.allclose(pane["centre"], middle)
    page.close()


def test_hands_and_keys(browser: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.html"
    write_player(path, {"cloud": Cloud()}, cameras=camera())
    page, faults = opened(browser, path)
    first = canvas(page).astype(int)

    def changed() -> float:
        settled(page)
        # The edge shows that the canvas has the keyboard.
        return float(np.abs(canvas(page).astype(int) - first)[8:-8, 8:-8].mean())

    slider = page.locator("#time")
    box = slider.bounding_box()
    page.mouse.click(box["x"] + box["width"] * 0.7, box["y"] + box["height"] / 2)
    assert changed() > 1 and 1.2 < page.evaluate("player.state().time") < 1.6
    page.keyboard.press("Home")
    assert changed() < 0.05
    stage = page.locator("canvas").bounding_box()
    x, y = stage["x"] + stage["width"] / 2, stage["y"] + stage["height"] / 2
    for buttons in ("left", "right"):
        page.mouse.move(x, y)
        page.mouse.down(button=buttons)
        page.mouse.move(x + 60, y + 30, steps=3)
        page.mouse.up(button=buttons)
        assert changed() > 1, buttons
        page.keyboard.press("r")
        assert changed() < 0.05
    page.mouse.wheel(0, 300)
    assert changed() > 1
    page.locator("#reset").click()
    page.keyboard.press("ArrowRight")
    settled(page)
    assert page.evaluate("player.state().time") == pytest.approx(2 / 49)
    page.keyboard.press(" ")
    page.wait_for_timeout(700)
    page.keyboard.press(" ")
    assert page.evaluate("player.state().time") > 2 / 49 + 0.2
    assert page.evaluate("player.state().playing") is False
    page.locator("summary").click()
    assert page.get_by_text("or one finger").is_visible()
    page.close()
    assert faults == []


def test_two_scenes_have_one_clock_and_one_camera(browser: Any, tmp_path: Path) -> None:
    pair = {"one": Cloud(), "<i>two</i>": Cloud(antialiased=True, seed=2)}
    path = tmp_path / "a.html"
    write_player(path, pair, cameras=camera(), title="<b>pair</b>")
    page, faults = opened(browser, path, size=(640, 400))
    settled(page, "player.seek(0.8); player.orbit(0.4, 0.2)")
    seen = canvas(page)
    for i, scene in enumerate(read_player(path)):
        part = page.evaluate("player.state()")["panes"][i]["part"]
        top = seen.shape[0] - part["y"] - part["height"]
        shown = seen[top : top + part["height"], part["x"] : part["x"] + part["width"]]
        # The labels lie over the upper left corner.
        assert psnr(shown[60:], ours(page, scene, i)[60:]) > 52
    assert page.get_by_text("<i>two</i>", exact=True).is_visible()
    assert page.locator("h1").inner_text() == "<b>pair</b>" == page.title()
    page.close()
    assert faults == []


def test_files_of_a_folder_are_shown_one_after_another(browser: Any, tmp_path: Path) -> None:
    for k in range(3):
        g = Cloud(seed=k).at(0.0)
        part = Gaussians(**{n: v[: 500 - 150 * k] for n, v in g.tensors().items()})
        file = tmp_path / f"frame_{k}.ply"
        write_ply(SplatScene(raw_from_gaussians(part), Static()), file)
    sequence, path = read_ply_sequence(tmp_path), tmp_path / "a.html"
    write_player(path, {"files": sequence}, cameras=camera())
    page, faults = opened(browser, path)
    for time in (0.0, 2 / 30, 1 / 30):
        settled(page, f"player.seek({time})")
        assert psnr(canvas(page), ours(page, read_player(path)[0])) > 52
        assert psnr(canvas(page), ours(page, sequence)) > 38
    page.close()
    assert faults == []


def test_a_hostile_name_is_only_text(browser: Any, tmp_path: Path) -> None:
    name = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"
    path = tmp_path / "a.html"
    write_player(path, {name: Cloud(), "b": Cloud()}, title=name, lead=name)
    page, faults = opened(browser, path)
    assert page.get_by_text(name).count() == 3  # heading, lead, label
    page.close()
    assert faults == []


def test_without_workers_the_page_does_the_work(browser: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.html"
    write_player(path, {"cloud": Cloud()}, cameras=camera())
    page, faults = opened(browser, path, script="delete window.Worker")
    settled(page, "player.seek(1)")
    assert psnr(canvas(page), ours(page, read_player(path)[0])) > 52
    page.close()
    assert faults == []


def test_without_webgl_the_page_says_so(browser: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.html"
    write_player(path, {"cloud": Cloud()})
    page, faults = opened(
        browser, path, script="HTMLCanvasElement.prototype.getContext = () => null"
    )
    assert "no WebGL2" in page.locator("#message").inner_text()
    page.close()
    assert faults == []
