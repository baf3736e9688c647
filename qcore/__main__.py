"""``python -m qcore``."""

import sys

from qcore.cli.main import main

sys.exit(main())
