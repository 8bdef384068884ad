"""``raftkv`` that takes a member for healthy once it has been connected for a moment, not for five seconds.

python -m tests.e2e.hasty serve --name ...
"""

import sys

from raftkv.cli.main import main
from raftkv.service import reconfiguration

if __name__ == "__main__":
    reconfiguration.HEALTHY_SECONDS = 0.1
    sys.exit(main())
