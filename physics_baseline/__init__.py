"""The physics baseline: prompt → planner → SceneSpec → engine and tools → video."""
