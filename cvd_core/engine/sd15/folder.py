"""The folder of a Stable Diffusion 1.5 model."""

from cvd_core.engine.model_folder import DIFFUSION_WEIGHTS, TRANSFORMERS_WEIGHTS, FolderLayout

SD15_FOLDER = FolderLayout(
    "Stable Diffusion 1.5",
    {"unet": DIFFUSION_WEIGHTS, "vae": DIFFUSION_WEIGHTS, "text_encoder": TRANSFORMERS_WEIGHTS},
    tokenizers=(("vocab.json", "merges.txt"), ("tokenizer.json",)),
)
