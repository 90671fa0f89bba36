"""A slow, readable rasteriser in plain torch: what the fast ones are held to, gradients by autograd.

Dense: every pixel meets every Gaussian, front to back, in the precision of its inputs.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from clay4d.renderers.settings import Blending


def rotation_matrices(quats: Tensor) -> Tensor:
    """Rotation matrices [..., 3, 3] of wxyz quaternions [..., 4], normalised here.

    >>> rotation_matrices(torch.tensor([2.0, 0, 0, 0])).tolist()
    [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """
    w, x, y, z = F.normalize(quats, dim=-1).unbind(-1)
    rows = [
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    ]  # fmt: skip
    return torch.stack(rows, -1).reshape(*quats.shape[:-1], 3, 3)


def spherical_harmonics(degree: int, directions: Tensor, coefficients: Tensor) -> Tensor:
    """Σ basis·coefficient [N, 3] along unit directions [N, 3], signs as in gsplat, degree 0 to 3."""
    x, y, z = directions.unbind(-1)
    terms = [torch.full_like(x, 0.28209479177387814)]
    if degree > 0:
        terms += [-0.4886025119029199 * y, 0.4886025119029199 * z, -0.4886025119029199 * x]
    if degree > 1:
        terms += [
            1.0925484305920792 * x * y,
            -1.0925484305920792 * y * z,
            0.31539156525252005 * (3 * z * z - 1),
            -1.0925484305920792 * x * z,
            0.5462742152960396 * (x * x - y * y),
        ]
    if degree > 2:
        terms += [
            -0.5900435899266435 * y * (3 * x * x - y * y),
            2.890611442640554 * x * y * z,
            -0.4570457994644658 * y * (5 * z * z - 1),
            0.3731763325901154 * z * (5 * z * z - 3),
            -0.4570457994644658 * x * (5 * z * z - 1),
            1.445305721320277 * z * (x * x - y * y),
            -0.5900435899266435 * x * (x * x - 3 * y * y),
        ]
    return torch.einsum("kn,nkc->nc", torch.stack(terms), coefficients[:, : len(terms)])


def _project(
    means: Tensor, quats: Tensor, scales: Tensor, opacities: Tensor, view: Tensor, K: Tensor,
    size: tuple[int, int], limits: tuple[float, float, float, float], antialiased: bool,
) -> dict[str, Tensor]:  # fmt: skip
    near, far, radius_clip, eps2d = limits
    width, height = size
    R, t = view[:3, :3], view[:3, 3]
    points = means @ R.T + t
    depths = points[:, 2]
    inside = (depths >= near) & (depths <= far)
    x, y, z = torch.where(inside[:, None], points, torch.ones_like(points)).unbind(-1)
    fx, fy, cx, cy = K[0, 0], K[1, 1], K[0, 2], K[1, 2]
    mx, my = 0.15 * width / fx, 0.15 * height / fy
    tx = z * torch.clamp(x / z, -(cx / fx + mx), (width - cx) / fx + mx)
    ty = z * torch.clamp(y / z, -(cy / fy + my), (height - cy) / fy + my)
    zero = torch.zeros_like(z)
    J = torch.stack([fx / z, zero, -fx * tx / z**2, zero, fy / z, -fy * ty / z**2], -1)
    root = J.reshape(-1, 2, 3) @ R @ (rotation_matrices(quats) * scales[:, None, :])
    sharp = root @ root.transpose(-1, -2)
    blurred = sharp + eps2d * torch.eye(2, dtype=means.dtype)
    u, v = root.unbind(1)
    area = torch.linalg.cross(u, v).square().sum(-1)
    xx, xy, yy = blurred[:, 0, 0], blurred[:, 0, 1], blurred[:, 1, 1]
    det = area + eps2d * (sharp[:, 0, 0] + sharp[:, 1, 1]) + eps2d**2
    conics = torch.stack([yy / det, -xy / det, xx / det], -1)
    if antialiased:
        opacities = opacities * (area / det).clamp(min=1e-12).sqrt()
    means2d = torch.stack([fx * x / z + cx, fy * y / z + cy], -1)
    seen = inside & (opacities >= 1 / 255)
    reach = (2 * (opacities.clamp(min=1 / 255) * 255).log()).clamp(min=0).sqrt().clamp(max=3.33)
    radii = torch.ceil(reach[:, None] * torch.stack([xx, yy], -1).sqrt()).detach()
    limit = means2d.new_tensor([width, height])
    onscreen = ((means2d + radii > 0) & (means2d - radii < limit)).all(-1)
    seen = seen & onscreen & ~(radii <= radius_clip).all(-1)
    radii = torch.where(seen[:, None], radii, 0).to(torch.int32)
    return {"radii": radii, "means2d": means2d, "depths": depths, "conics": conics,
            "opacities": opacities}  # fmt: skip


def _blend(
    p: dict[str, Tensor], channels: Tensor, size: tuple[int, int], blending: Blending
) -> tuple[Tensor, Tensor]:
    width, height = size
    seen = (p["radii"] > 0).all(-1).nonzero()[:, 0]
    order = seen[torch.argsort(p["depths"][seen].detach().float(), stable=True)]
    dtype = channels.dtype
    ys, xs = torch.meshgrid(
        torch.arange(height, dtype=dtype) + 0.5, torch.arange(width, dtype=dtype) + 0.5,
        indexing="ij",
    )  # fmt: skip
    T = torch.ones(height, width, dtype=dtype)
    going = torch.ones(height, width, dtype=torch.bool)
    image = torch.zeros(height, width, channels.shape[-1], dtype=dtype)
    for i in order.tolist():
        dx, dy = p["means2d"][i, 0] - xs, p["means2d"][i, 1] - ys
        a, b, c = p["conics"][i]
        sigma = 0.5 * (a * dx * dx + c * dy * dy) + b * dx * dy
        raw = p["opacities"][i] * torch.exp(-sigma)
        alpha = torch.where(raw > blending.max_alpha, torch.full_like(raw, blending.max_alpha), raw)
        alpha = torch.where((sigma < 0) | (alpha < blending.alpha_min), 0 * alpha, alpha)
        going = going & ((T * (1 - alpha)).detach() > blending.t_min)
        alpha = torch.where(going, alpha, torch.zeros_like(alpha))
        image = image + (alpha * T)[..., None] * channels[i]
        T = T * (1 - alpha)
    return image, T


def rasterization_reference(
    means: Tensor, quats: Tensor, scales: Tensor, opacities: Tensor, colors: Tensor,
    viewmats: Tensor, Ks: Tensor, width: int, height: int, *,
    near_plane: float = 0.01, far_plane: float = 1e10, radius_clip: float = 0.0,
    eps2d: float = 0.3, sh_degree: int | None = None, backgrounds: Tensor | None = None,
    render_mode: str = "RGB", rasterize_mode: str = "classic", blending: Blending | None = None,
    **_ignored: Any,
) -> tuple[Tensor, Tensor, dict[str, Any]]:  # fmt: skip
    """`rasterization` as a dense loop in torch, float32 or float64; one scene or leading batches.

    Source: the rules of gsplat 1.5.3. Options of memory layout (packed, absgrad, chunks) are ignored.
    """
    given: dict[str, Any] = {
        "near_plane": near_plane, "far_plane": far_plane, "radius_clip": radius_clip,
        "eps2d": eps2d, "sh_degree": sh_degree, "render_mode": render_mode,
        "rasterize_mode": rasterize_mode, "blending": blending,
    }  # fmt: skip
    if means.ndim > 2:
        parts = [
            rasterization_reference(
                means[b], quats[b], scales[b], opacities[b], colors[b], viewmats[b], Ks[b],
                width, height, backgrounds=None if backgrounds is None else backgrounds[b], **given,
            )
            for b in range(means.shape[0])
        ]  # fmt: skip
        return (
            torch.stack([image for image, _, _ in parts]),
            torch.stack([alpha for _, alpha, _ in parts]),
            {k: torch.stack([meta[k] for _, _, meta in parts]) for k in parts[0][2]},
        )
    limits = (near_plane, far_plane, radius_clip, eps2d)
    per_camera = colors.ndim == (3 if sh_degree is None else 4)
    images, alphas, metas = [], [], []
    for c, (view, K) in enumerate(zip(viewmats, Ks)):
        p = _project(
            means, quats, scales, opacities, view, K, (width, height), limits,
            rasterize_mode == "antialiased",
        )  # fmt: skip
        own = colors[c] if per_camera else colors
        if sh_degree is not None:
            centre = -view[:3, :3].T @ view[:3, 3]
            own = spherical_harmonics(sh_degree, F.normalize(means - centre, dim=-1), own)
            own = (own + 0.5).clamp(min=0)
        background = own.new_zeros(own.shape[-1]) if backgrounds is None else backgrounds[c]
        image, alpha = _drawn(
            p, own, background, (width, height), render_mode, blending or Blending()
        )
        images.append(image)
        alphas.append(alpha)
        metas.append(p)
    return (
        torch.stack(images),
        torch.stack(alphas),
        {k: torch.stack([m[k] for m in metas]) for k in metas[0]},
    )


def _drawn(
    p: dict[str, Tensor], channels: Tensor, background: Tensor, size: tuple[int, int],
    render_mode: str, blending: Blending,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """One camera's picture, with depth where the mode asks for it, and its alpha."""
    depth = p["depths"][:, None]
    if render_mode in ("D", "ED"):
        channels, background = depth, depth.new_zeros(1)
    elif render_mode != "RGB":
        channels = torch.cat([channels, depth], -1)
        background = torch.cat([background, depth.new_zeros(1)])
    image, T = _blend(p, channels, size, blending)
    image = image + T[..., None] * background
    alpha = (1 - T)[..., None]
    if "ED" in render_mode:
        expected = image[..., -1:] / alpha.clamp(min=1e-10)
        image = torch.cat([image[..., :-1], expected], -1)
    return image, alpha
