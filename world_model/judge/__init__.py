"""Whether a generated scene is what its prompt said: objects by their pictures, motion by their paths."""

from clay4d.world_model.judge.acts import Said, acts_right, read_acts
from clay4d.world_model.judge.events import touch_script
from clay4d.world_model.judge.looks import NAMES, LooksJudge
from clay4d.world_model.judge.prompts import prompt_scores

__all__ = [
    "NAMES", "LooksJudge", "Said", "acts_right", "prompt_scores", "read_acts", "touch_script"
]  # fmt: skip
