"""The world model: prompt and frames → latent thoughts → a dynamic scene, and the worlds it learns from."""
