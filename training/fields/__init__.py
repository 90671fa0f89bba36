"""Training of radiance fields: rays in the place of pictures."""

from clay4d.training.fields.trainer import FieldReport, FieldTrainer

__all__ = ["FieldReport", "FieldTrainer"]
