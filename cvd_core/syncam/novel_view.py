"""A given video seen from other cameras: it takes the place of view 0 (SynCamMaster, Sec. 3.5).

In the branches that are conditioned on the video, the network is shown its clean latent as view 0 at every step. In the
unconditional branch view 0 is the video noised like the other views, as in the part of the training in which it is not
replaced. In both, what is predicted for view 0 is the given video itself, so any sampler ends with it.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

REFERENCE = 0
"""The view that is given."""
VIDEO_GUIDANCE, TEXT_GUIDANCE = 1.8, 7.5
"""s_V and s_T as the paper sets them (below Eq. 7)."""
UNTRAINED = (
    "the released weights were not trained to take a given video as a view: experimental, results may be poor or "
    "ignore the video"
)

UNGUIDED = (
    "some views attend to each other without the given one, where it cannot guide them; 'star' pairs every view with "
    "it, 'joint' shows it to all at once"
)
"""Of pair strategies that form groups without it."""


def with_reference(x: Tensor, reference: Tensor, views: Sequence[int]) -> Tensor:
    """A copy of ``x`` in which every row of view 0 is the reference.

    Args:
        x: ``(N, ...)``, a view each.
        reference: ``(R, ...)``, one for each row of view 0, or a single one for all of them.
        views: which view each row is; may lack view 0.

    Raises:
        ValueError: the reference has another shape than the rows.
    """
    if len(views) != len(x) or reference.shape[1:] != x.shape[1:]:
        raise ValueError(
            f"a reference of shape {tuple(reference.shape)} for {len(views)} views in a batch of {tuple(x.shape)}; "
            "expected a latent of the size and length of the other views"
        )
    rows = [row for row, view in enumerate(views) if view == REFERENCE]
    replaced = x.clone()
    if rows:
        replaced[rows] = reference.to(x)
    return replaced


def guide_novel_view(
    nothing: Tensor, video: Tensor, video_and_text: Tensor, *, video_guidance: float, text_guidance: float
) -> Tensor:
    """Guidance of video and text apart (Eq. 7), of velocities or of predicted clean latents.

    Args:
        nothing: prediction without either condition, ``v(0, 0)``.
        video: with the clean video as view 0 and the negative prompt, ``v(V, 0)``.
        video_and_text: with both, ``v(V, T)``.
        video_guidance, text_guidance: s_V and s_T; 1 and 1 give ``video_and_text``.
    """
    return nothing + video_guidance * (video - nothing) + text_guidance * (video_and_text - video)


def velocity_to(x: Tensor, clean: Tensor, sigma: float) -> Tensor:
    """The velocity that leads from ``x`` at noise level ``sigma`` of a rectified flow straight to ``clean``."""
    return (x - clean) / sigma
