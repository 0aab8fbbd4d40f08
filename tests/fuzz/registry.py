"""Every target: a module of targets is imported and listed here, and both the suite and the command run it."""

from tests.fuzz import Target, cameras, cami2v, configurations, models, wan

TARGETS: tuple[Target, ...] = (
    *cameras.TARGETS,
    *cami2v.TARGETS,
    *configurations.TARGETS,
    *models.TARGETS,
    *wan.TARGETS,
)
