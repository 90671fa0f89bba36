"""SIFT and incremental mapping by pycolmap, run as a script in a process of its own.

pycolmap beside pillow or torch in one process can crash, and a crash must not take clay4d with it.
So this file imports nothing of clay4d: it is run as `python mapper.py job.json`, and leaves
sparse/0 and result.json in the job's folder. Lines on stdout say how far it is.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

CAREFUL: tuple[dict[str, Any], ...] = (
    # Triangulation angle and inliers of the first pair; then what to accept where that finds none.
    {"init_min_tri_angle": 16.0, "init_min_num_inliers": 100, "abs_pose_min_num_inliers": 30},
    {"init_min_tri_angle": 4.0, "init_min_num_inliers": 50, "abs_pose_min_num_inliers": 20},
    {"init_min_tri_angle": 1.5, "init_min_num_inliers": 30, "abs_pose_min_num_inliers": 15},
)
ENOUGH = 0.8
"""Share of the pictures that ends the search for a better model."""


def main(path: str) -> None:
    """Run the job and write what came of it."""
    import pycolmap

    pycolmap.logging.minloglevel = pycolmap.logging.Level.FATAL.value
    pycolmap.set_random_seed(0)
    job = json.loads(Path(path).read_text())
    root = Path(path).parent
    _features(pycolmap, root, job)
    best = None
    stats: dict[str, float] = {"registered": 0}
    for options in CAREFUL:
        print("mapping", flush=True)
        for model in _map(pycolmap, root, options).values():
            if best is None or model.num_reg_images() > best.num_reg_images():
                best = model
        if best is not None and best.num_reg_images() >= ENOUGH * len(job["names"]):
            break
    if best is not None:
        (root / "model").mkdir(exist_ok=True)
        best.write(str(root / "model"))
        stats = {
            "registered": best.num_reg_images(),
            "error": float(best.compute_mean_reprojection_error()),
            "points": best.num_points3D(),
        }
    (root / "result.json").write_text(json.dumps(stats))


def _features(pycolmap: Any, root: Path, job: dict[str, Any]) -> None:
    database = str(root / "database.db")
    reader = pycolmap.ImageReaderOptions()
    reader.camera_model = job["model"]
    if job["masks"]:
        reader.mask_path = str(root / "masks")
    if job["focal"]:
        width, height = job["size"]
        reader.camera_params = f"{job['focal']},{width / 2},{height / 2},0"
    extraction = pycolmap.FeatureExtractionOptions()
    extraction.use_gpu, extraction.num_threads = False, job["threads"]
    extraction.max_image_size = 1600
    extraction.sift.max_num_features = job["features"]
    print(f"features {len(job['names'])}", flush=True)
    pycolmap.extract_features(
        database,
        str(root / "images"),
        image_names=job["names"],
        camera_mode=pycolmap.CameraMode.PER_FOLDER,
        reader_options=reader,
        extraction_options=extraction,
    )
    pairs = root / "pairs.txt"
    pairs.write_text("".join(f"{a} {b}\n" for a, b in job["pairs"]))
    matching = pycolmap.FeatureMatchingOptions()
    matching.use_gpu, matching.num_threads = False, job["threads"]
    pairing = pycolmap.ImportedPairingOptions()
    pairing.match_list_path = str(pairs)
    verification = pycolmap.TwoViewGeometryOptions()
    verification.ransac.random_seed = 0
    print(f"matching {len(job['pairs'])}", flush=True)
    pycolmap.match_image_pairs(
        database,
        matching_options=matching,
        pairing_options=pairing,
        verification_options=verification,
    )


def _map(pycolmap: Any, root: Path, changes: dict[str, Any]) -> dict[int, Any]:
    options = pycolmap.IncrementalPipelineOptions()
    # One thread: sums of several would differ in their last bits from run to run.
    options.num_threads, options.random_seed, options.min_model_size = 1, 0, 3
    options.mapper.random_seed = options.triangulation.random_seed = 0
    for key, value in changes.items():
        setattr(options.mapper, key, value)
    out = root / "sparse"
    out.mkdir(exist_ok=True)
    found: dict[int, Any] = pycolmap.incremental_mapping(
        str(root / "database.db"), str(root / "images"), str(out), options
    )
    return found


if __name__ == "__main__":
    main(sys.argv[1])
