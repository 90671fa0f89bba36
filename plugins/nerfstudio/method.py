"""What nerfstudio's entry point `nerfstudio.method_configs` loads: the method `clay4d`."""

from nerfstudio.configs.base_config import LoggingConfig, MachineConfig, ViewerConfig
from nerfstudio.data.datamanagers.full_images_datamanager import FullImageDatamanagerConfig
from nerfstudio.engine.trainer import TrainerConfig
from nerfstudio.pipelines.base_pipeline import VanillaPipelineConfig
from nerfstudio.plugins.types import MethodSpecification

from clay4d.plugins.nerfstudio.data import Clay4dDataParserConfig
from clay4d.plugins.nerfstudio.model import Clay4dModelConfig

STEPS = 2000
NEVER = 10**9

method = MethodSpecification(
    config=TrainerConfig(
        method_name="clay4d",
        max_num_iterations=STEPS,
        steps_per_save=1000,
        # Measuring views costs as much as steps do; `clay4d ns-eval` does it at the end.
        steps_per_eval_batch=NEVER,
        steps_per_eval_image=NEVER,
        steps_per_eval_all_images=NEVER,
        mixed_precision=False,
        machine=MachineConfig(device_type="cpu"),
        logging=LoggingConfig(steps_per_log=50),
        pipeline=VanillaPipelineConfig(
            # "gpu" is the model's device; "cpu" would pin memory, which needs CUDA.
            datamanager=FullImageDatamanagerConfig(
                dataparser=Clay4dDataParserConfig(), cache_images="gpu"
            ),
            model=Clay4dModelConfig(),
        ),
        optimizers={},
        viewer=ViewerConfig(quit_on_train_completion=True, websocket_host="127.0.0.1"),
        vis="viewer",
    ),
    description="Dynamic Gaussians on a CPU, the same as clay4d train",
)
