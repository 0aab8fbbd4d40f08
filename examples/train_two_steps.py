"""Two training steps of the small model's sync modules, then videos: ``python examples/train_two_steps.py OUT``.

What ``cvd train CONFIG`` does with a file of settings; docs/training.md explains them. Procedural scenes are the data.
"""

import sys
from dataclasses import replace
from pathlib import Path

import cvd_core
from cvd_core.training.config import load_config
from cvd_core.training.config_parts import LoopConfig
from cvd_core.training.trainers import trainer_for


def main(out: Path) -> None:
    config = load_config("mini-continue")
    loop = LoopConfig(steps=2, batch=2, learning_rate=1e-4, warmup=1, log_every=1)
    config = replace(config, output=out / "training", data=replace(config.data, clips=8), stages={"sync": loop})
    trainer = trainer_for(config, resume=False)
    trainer.train()
    trainer.export(out / "model")
    pipe = cvd_core.load_pipeline(cvd_core.ModelPaths.in_folder(out / "model"))
    rig = cvd_core.make_rig("stereo", views=2, frames=8, baseline=2)
    pipe(rig, "a red ball on a gray floor", width=64, height=64, steps=2, guidance=3).save(out / "videos")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
