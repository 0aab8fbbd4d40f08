"""Structure from motion in a separate process: ``python -m cvd_core.evaluation.sfm_worker FOLDER [SEED]``.

Imports nothing of the project. pycolmap brings its own libraries (once it is loaded, Pillow crashes when it writes a
PNG), and a failure inside it may end the process; here that costs one trial.

FOLDER holds ``images/0000.png ...`` and ``intrinsics.json`` (fx, fy, cx, cy in pixels for each). Without SEED, features
go to ``features.db``; with it, they are matched and mapped, and ``poses.json`` gets world-to-camera 3x4 matrices by
image name. Parameters as in CamI2V, Appendix B.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

MOST_MATCHES = 65536


def extract(folder: Path) -> None:
    """Features of every image, each with its own camera."""
    import pycolmap

    options = pycolmap.FeatureExtractionOptions()
    options.use_gpu = False
    options.sift.estimate_affine_shape = True
    options.sift.domain_size_pooling = True
    for name, intrinsics in json.loads((folder / "intrinsics.json").read_text()).items():
        reader = pycolmap.ImageReaderOptions()
        reader.camera_model = "PINHOLE"
        reader.camera_params = ",".join(map(repr, intrinsics))
        pycolmap.extract_features(
            folder / "features.db",
            folder / "images",
            image_names=[name],
            reader_options=reader,
            extraction_options=options,
            device=pycolmap.Device.cpu,
        )


def reconstruct(folder: Path, seed: int) -> None:
    """Match all images with each other and place their cameras; the largest model counts."""
    import pycolmap

    database, models = folder / "trial.db", folder / "models"
    shutil.copy(folder / "features.db", database)
    models.mkdir(exist_ok=True)
    matching = pycolmap.FeatureMatchingOptions()
    matching.use_gpu = False
    matching.guided_matching = True
    matching.max_num_matches = MOST_MATCHES
    verification = pycolmap.TwoViewGeometryOptions()
    verification.ransac.random_seed = seed
    pycolmap.match_exhaustive(database, matching, verification_options=verification, device=pycolmap.Device.cpu)
    found: list[Any] = list(
        pycolmap.global_mapping(database, folder / "images", models, _mapping_options(seed)).values()
    )
    largest = max(found, key=lambda model: model.num_reg_images(), default=None)
    poses = {
        image.name: image.cam_from_world().matrix().tolist()
        for image in (largest.images.values() if largest else [])
        if image.has_pose
    }
    (folder / "poses.json").write_text(json.dumps(poses))


def _mapping_options(seed: int) -> Any:
    """One thread and seeds everywhere: the same seed gives the same cameras. Intrinsics stay as given."""
    import pycolmap

    options = pycolmap.GlobalPipelineOptions()
    options.num_threads = options.mapper.num_threads = 1
    options.random_seed = options.mapper.random_seed = seed
    options.mapper.bundle_adjustment.refine_focal_length = False
    options.mapper.bundle_adjustment.refine_extra_params = False
    options.mapper.bundle_adjustment.ceres.use_gpu = False
    options.mapper.global_positioning.use_gpu = False
    return options


if __name__ == "__main__":
    place, *seeds = sys.argv[1:]
    if seeds:
        reconstruct(Path(place), int(seeds[0]))
    else:
        extract(Path(place))
