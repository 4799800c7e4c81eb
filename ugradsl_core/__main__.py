"""``python -m ugradsl_core`` is the ``ugradsl`` command."""

from ugradsl_core.cli import main

main()
