"""``python -m cvd_core.cli`` where the command ``cvd`` is not installed."""

import sys

from cvd_core.cli import main

sys.exit(main())
