"""Run the command line with ``python -m dindic``."""

from dindic import main

main()
