"""``python -m companion`` is the ``ugradsl`` command."""

import sys


def main() -> None:
    """Run the command; where its libraries are not installed, one line says how to get them."""
    try:
        from companion.cli.main import main as command
    except ModuleNotFoundError as error:
        sys.exit(
            f"ugradsl: the command needs {error.name}, which is not installed: "
            'pip install "ugradsl-core[companion]"'
        )
    command()


if __name__ == "__main__":
    main()
