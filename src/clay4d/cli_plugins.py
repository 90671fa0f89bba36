"""The commands that hand over to other programs: nerfstudio's, in its own environment."""

from __future__ import annotations

from collections.abc import Sequence


def ns_train() -> None:
    """nerfstudio's ns-train on a CPU, with clay4d as a method and its loaders (docs/nerfstudio.md)."""


def ns_eval() -> None:
    """nerfstudio's ns-eval: PSNR and SSIM of views that ns-train did not train on."""


def ns_export() -> None:
    """nerfstudio's ns-export of what ns-train made."""


def ns_viewer() -> None:
    """nerfstudio's viewer of what ns-train made."""


def run_nerfstudio(command: str, args: Sequence[str]) -> int:
    """Hand `clay4d ns-COMMAND` with its arguments over to nerfstudio; gives its exit code.

    Raises:
        ModuleNotFoundError: there is no nerfstudio; the message says how to get it.
    """
    from clay4d.plugins.nerfstudio.launch import run

    return run(command, args)
