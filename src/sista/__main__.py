"""`python -m sista`."""

import sys

from sista.cli import main

sys.exit(main())
