"""Every target: a module of targets is imported and listed here, and both the suite and the command run it."""

from tests.fuzz import Target, cameras

TARGETS: tuple[Target, ...] = (*cameras.TARGETS,)
