"""The ``ugradsl`` command."""
