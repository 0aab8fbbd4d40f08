"""The list of nodes that the pack registers."""

from __future__ import annotations

from comfy_api.latest import ComfyExtension, io

from .camera_exchange import EXCHANGE_NODES
from .camera_guidance import CAMERA_GUIDANCE_NODES
from .cameras import CAMERA_NODES
from .cami2v import CAMI2V_NODES
from .cami2v_sampling import CAMI2V_SAMPLING_NODES
from .conditioning import CONDITIONING_NODES
from .export_scene import EXPORT_NODES
from .mini import MINI_NODES
from .motion import MOTION_NODES
from .novel_view import NOVEL_VIEW_NODES
from .picture_to_video import PICTURE_NODES
from .sampling import SAMPLING_NODES
from .sync import SYNC_NODES
from .syncam import SYNCAM_NODES
from .video import VIDEO_NODES


class CVDExtension(ComfyExtension):
    """Collaborative Video Diffusion."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return [
            *CAMERA_NODES,
            *EXCHANGE_NODES,
            *PICTURE_NODES,
            *CAMI2V_NODES,
            *CAMI2V_SAMPLING_NODES,
            *CONDITIONING_NODES,
            *MINI_NODES,
            *MOTION_NODES,
            *CAMERA_GUIDANCE_NODES,
            *SYNC_NODES,
            *SAMPLING_NODES,
            *SYNCAM_NODES,
            *NOVEL_VIEW_NODES,
            *VIDEO_NODES,
            *EXPORT_NODES,
        ]
