"""Training of scenes from posed video."""
