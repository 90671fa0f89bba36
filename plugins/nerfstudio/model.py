"""clay4d's dynamic scene as a model of nerfstudio.

A step is clay4d's own (`Trainer.forward`, `Trainer.finish`), with its optimisers, density control and
coarse-to-fine pictures; nerfstudio picks the picture, runs the backward pass and keeps the checkpoints.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from nerfstudio.cameras.cameras import Cameras as NerfstudioCameras
from nerfstudio.engine.callbacks import TrainingCallback, TrainingCallbackLocation
from nerfstudio.models.base_model import ModelConfig
from nerfstudio.models.splatfacto import SplatfactoModel
from torch import Tensor, nn

from clay4d.config import load_config, preset_folder, presets
from clay4d.plugins.nerfstudio.compat import untraced
from clay4d.plugins.nerfstudio.data import viewmats_of
from clay4d.plugins.nerfstudio.pictures import dataset_of
from clay4d.renderers import rasterization
from clay4d.renderers.render import raster_options
from clay4d.scenes import Gaussians
from clay4d.scenes.motion import Static
from clay4d.scenes.splat_scene import SplatScene, raw_from_gaussians
from clay4d.scenes.store import save_scene, scene_from
from clay4d.training.checkpoints import set_trainer_state, trainer_state
from clay4d.training.checks import check_config
from clay4d.training.config import TrainConfig
from clay4d.training.losses import photometric_loss
from clay4d.training.metrics import psnr, ssim
from clay4d.training.trainer import Drawn, Trainer

SCENE = "scene.safetensors"


@dataclass
class Clay4dModelConfig(ModelConfig):  # type: ignore[misc]
    """How clay4d trains; the number of steps is nerfstudio's `--max-num-iterations`."""

    _target: type = field(default_factory=lambda: Clay4dModel)
    preset: str = "quick"
    """A preset of `clay4d train` (quick, dnerf, static …) or a YAML file of one's own."""
    seed: int = 0
    """Seed of everything that clay4d draws."""
    sh_degree: int = 3
    """What ns-export asks; the degree itself is the preset's."""

    def train_config(self, steps: int) -> TrainConfig:
        """The preset with this number of steps.

        Raises:
            ValueError: an unknown preset, or a file that does not hold one.
        """
        known = presets(TrainConfig, preset_folder())
        if self.preset.endswith((".yaml", ".yml")):
            config = load_config(TrainConfig, Path(self.preset), but=("data", "shards"))
        elif self.preset in known:
            config = known[self.preset][1]
        else:
            raise ValueError(f"preset got {self.preset!r}; expected one of {', '.join(known)}.")
        config = dataclasses.replace(config, steps=steps, seed=self.seed)
        check_config(config)
        return config


class Clay4dModel(SplatfactoModel):  # type: ignore[misc]
    """A dynamic scene; a SplatfactoModel, so that nerfstudio's viewer and ns-export take it."""

    config: Clay4dModelConfig

    def populate_modules(self) -> None:
        """Points to look at until training begins, or until a checkpoint brings the scene."""
        seeds = self.seed_points
        points = self.scene_box.aabb if seeds is None else seeds[0]
        first = Gaussians.from_points(points.float(), torch.full_like(points.float(), 0.5))
        metadata = self.kwargs.get("metadata") or {}
        shade = metadata.get("background") or (0.0, 0.0, 0.0)
        self.scene = SplatScene(raw_from_gaussians(first), Static(), background=shade)
        self.engine: Trainer | None = None
        self.drawn: Drawn | None = None
        self.crop_box = None
        self._restored: tuple[dict[str, Tensor], dict[str, Any]] | None = None

    # What ns-export and the viewer read: the scene at its start.
    def _start(self) -> Gaussians:
        return self.scene.at(0.0)

    @property
    def means(self) -> Tensor:
        """Centres at the start, metres."""
        return self._start().means

    @property
    def scales(self) -> Tensor:
        """Logarithms of the standard deviations."""
        return self._start().scales.log()

    @property
    def quats(self) -> Tensor:
        """Rotations, wxyz."""
        return self._start().quats

    @property
    def opacities(self) -> Tensor:
        """Logits, [N, 1]."""
        return torch.logit(self._start().opacities.clamp(1e-6, 1 - 1e-6))[:, None]

    @property
    def features_dc(self) -> Tensor:
        """Constant harmonics, [N, 3]."""
        return self._start().sh[:, 0]

    @property
    def features_rest(self) -> Tensor:
        """Higher harmonics, padded with zeros to degree 3, [N, 15, 3]."""
        rest = self._start().sh[:, 1:]
        return torch.cat([rest, rest.new_zeros(len(rest), 15 - rest.shape[1], 3)], 1)

    def get_extra_state(self) -> dict[str, Any]:
        """What a checkpoint holds: the trainer's state, or the scene alone where nothing trains."""
        if self.engine is None:
            return {"tensors": {}, "header": "null"}
        tensors, header = trainer_state(self.engine)
        return {
            "tensors": {k: v.detach() for k, v in tensors.items()},
            "header": json.dumps(header),
        }

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Bring back the scene, and keep the rest for a trainer that goes on."""
        header = json.loads(state["header"])
        if header is None:
            return
        self._restored = (state["tensors"], header)
        self.scene = scene_from(state["tensors"], header)

    def load_state_dict(self, state: dict[str, Any], **options: Any) -> Any:
        """torch's own: the rows are in the extra state."""
        return nn.Module.load_state_dict(self, state, **options)

    def get_param_groups(self) -> dict[str, list[nn.Parameter]]:
        """None: clay4d's optimisers move what nerfstudio's would."""
        return {}

    def get_training_callbacks(self, training_callback_attributes: Any) -> list[TrainingCallback]:
        """Make the trainer on nerfstudio's data; it finishes each step after the backward pass."""
        trainer = training_callback_attributes.trainer
        manager = training_callback_attributes.pipeline.datamanager
        config = self.config.train_config(trainer.config.max_num_iterations)
        data = dataset_of(manager)
        self.engine = Trainer(config, data, resuming=self._restored is not None)
        if self._restored is not None:
            set_trainer_state(self.engine, *self._restored, where="nerfstudio's checkpoint")
        self.scene = self.engine.scene
        out = trainer.base_dir / SCENE
        return [
            TrainingCallback([TrainingCallbackLocation.AFTER_TRAIN_ITERATION], self._finish),
            TrainingCallback([TrainingCallbackLocation.AFTER_TRAIN], self._save, args=[out]),
        ]

    def _finish(self, step: int) -> None:
        if self.engine is not None and self.drawn is not None:
            self.engine.finish(self.drawn)
            self.drawn = None

    def _save(self, out: Path, step: int) -> None:
        save_scene(out, self.scene)

    def get_outputs(self, camera: NerfstudioCameras) -> dict[str, Any]:
        """The training picture of this step, with gradients, or what any camera sees at its time."""
        if self.training and self.engine is not None:
            self.drawn = self.engine.forward(int(camera.metadata["cam_idx"]))
            image = self.drawn.image
            return {"rgb": image, "depth": None, "background": image.new_tensor(self._shade())}
        return self._look(camera)

    def get_outputs_for_camera(
        self, camera: NerfstudioCameras, obb_box: Any = None
    ) -> dict[str, Any]:
        """What a camera sees, drawn to the end.

        nerfstudio's viewer breaks off a picture by an exception out of a trace function, which a compiled
        kernel cannot pass on: the viewer's thread would die of it.
        """
        with untraced():
            drawn: dict[str, Any] = super().get_outputs_for_camera(camera, obb_box)
        return drawn

    def _shade(self) -> tuple[float, float, float]:
        return self.scene.background

    def set_background(self, background_color: Tensor) -> None:
        """The viewer's wish, which is left alone: pictures without alpha have it in them."""

    @torch.no_grad()
    def _look(self, camera: NerfstudioCameras) -> dict[str, Any]:
        scene = self.scene
        share = 0.0 if camera.times is None else float(camera.times.reshape(-1)[0])
        g = scene.at(share * scene.duration)
        opacities = g.opacities
        if self.crop_box is not None:
            opacities = opacities * self.crop_box.within(g.means).reshape(-1)
        W, H = int(camera.width.item()), int(camera.height.item())
        shade = torch.tensor(scene.background)
        drawn, alpha, _ = rasterization(
            g.means, g.quats, g.scales, opacities, g.sh, viewmats_of(camera.reshape(-1)),
            camera.get_intrinsics_matrices().reshape(1, 3, 3).float(), W, H,
            sh_degree=g.sh_degree, backgrounds=shade[None], render_mode="RGB+ED",
            **raster_options(scene),
        )  # fmt: skip
        depth = torch.where(alpha > 0, drawn[..., 3:], drawn[..., 3:].max())
        return {
            "rgb": drawn[0, ..., :3].clamp(0, 1), "depth": depth[0], "accumulation": alpha[0],
            "background": shade.expand(H, W, 3),
        }  # fmt: skip

    def _target(self, batch: dict[str, Any]) -> Tensor:
        image: Tensor = batch["image"].float() / (255 if batch["image"].dtype == torch.uint8 else 1)
        if image.shape[-1] == 4:
            shade = torch.tensor(self.scene.background)
            image = image[..., :3] * image[..., 3:] + shade * (1 - image[..., 3:])
        return image

    def get_loss_dict(
        self, outputs: dict[str, Any], batch: dict[str, Any], metrics_dict: Any = None
    ) -> dict[str, Tensor]:
        """The step's loss, or that of a picture that is only measured."""
        if self.training and self.drawn is not None:
            return {"loss": self.drawn.total}
        return {"loss": photometric_loss(outputs["rgb"], self._target(batch), ssim_weight=0.2)}

    def get_metrics_dict(self, outputs: dict[str, Any], batch: dict[str, Any]) -> dict[str, Any]:
        """PSNR of the step's picture, and how many Gaussians there are."""
        target = self.drawn.target if self.drawn is not None else self._target(batch)
        value = psnr(outputs["rgb"].detach().clamp(0, 1), target)
        return {"psnr": torch.tensor(value), "gaussian_count": len(self.scene)}

    def get_image_metrics_and_images(
        self, outputs: dict[str, Any], batch: dict[str, Any]
    ) -> tuple[dict[str, float], dict[str, Tensor]]:
        """PSNR and SSIM of a view, and the pair of pictures."""
        target = self._target(batch)
        metrics = {"psnr": psnr(outputs["rgb"], target), "ssim": ssim(outputs["rgb"], target)}
        return metrics, {"img": torch.cat([target, outputs["rgb"]], 1)}
