"""What a scene is, where it comes from and how it moves."""
