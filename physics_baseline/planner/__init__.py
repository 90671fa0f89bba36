"""Prompt → SceneSpec: a grammar that says what it understood and refuses what it did not."""

from clay4d.physics_baseline.planner.language_model import plan_with_language_model
from clay4d.physics_baseline.planner.plan import Explanation, explain, plan
from clay4d.physics_baseline.planner.words import PlanError

__all__ = ["Explanation", "PlanError", "explain", "plan", "plan_with_language_model"]
