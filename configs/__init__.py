"""Presets: each NAME.yaml holds what differs from the defaults, its first line says what it is for."""
