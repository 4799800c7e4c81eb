"""The ``ugradsl`` command."""

import io
import os
import sys
import warnings
from pathlib import Path
from typing import Annotated

import typer

from companion import files
from companion.cli.campaign import campaign
from companion.cli.estimate import estimate
from companion.cli.experiments import experiment, regime, tune
from companion.cli.gpu import gpu
from companion.cli.grid import grid, merge, original
from companion.cli.lists import datasets, presets
from companion.cli.options import (
    AsJson,
    Parameters,
    Scale,
    SettingName,
    join_pairs,
    pairs,
    print_json,
    prints_unicode,
)
from companion.cli.paper import audit, claims
from companion.cli.printing import print_summary
from companion.cli.targets import check_notebook
from companion.cli.theory import figure6, label_ldp, landscape
from companion.experiments.records import summary as summarys
from companion.experiments.settings.changes import known_preset
from companion.notebooks import parameters
from ugradsl_core.errors import ConfigError, UGradSLError
from ugradsl_core.methods import METHODS

REFUSED, STOPPED = 2, 130
EXIT_CODES = {
    0: "done",
    1: "an error that the command did not foresee, with its traceback",
    REFUSED: "refused, or failed for a known reason: a line on stderr says what was found",
    STOPPED: "stopped by Ctrl+C; what was finished is in the store",
}

app = typer.Typer(
    help="Machine unlearning with smoothed labels: methods, experiments and notebooks.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.command()
def methods(as_json: AsJson = False) -> None:
    """List the unlearning methods with their default hyperparameters."""
    rows = {
        name: {
            "title": method.title,
            "reads": method.reads,
            "summary": method.summary,
            "defaults": method.config().model_dump(),
        }
        for name, method in METHODS.items()
    }
    if as_json:
        print_json(rows)
        return
    for name, row in rows.items():
        print(f"{name:10} {row['summary']}  [reads {row['reads']}]")
        print(" " * 11 + ", ".join(f"{key}={value}" for key, value in row["defaults"].items()))  # type: ignore[attr-defined]


app.command()(datasets)


@app.command()
def run(
    notebook: Annotated[str, typer.Argument(help="Its name, such as random_forgetting.")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Default: NOTEBOOK-run.ipynb here.")
    ] = None,
    parameter: Parameters = None,
) -> None:
    """Execute a notebook by papermill with -p NAME VALUE …, after checking every parameter."""
    values = parameters.parse_parameters(notebook, pairs(parameter))
    source = files.NOTEBOOK_FOLDER / f"{notebook}.ipynb"
    if not source.exists():
        raise ConfigError(f"notebook: {source} does not exist; run from a clone of the project")
    target = output or Path(f"{notebook}-run.ipynb")
    sources = (files.NOTEBOOK_FOLDER / f"{name}.ipynb" for name in parameters.NOTEBOOKS)
    if target.resolve() in {path.resolve() for path in sources}:
        raise ConfigError("output: would overwrite the notebook itself; choose another file")
    check_notebook(target)
    # or jsonschema compiles grammars of addresses for two seconds, which no notebook has
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
    import papermill

    try:
        papermill.execute_notebook(str(source), str(target), parameters=values, progress_bar=True)
    except papermill.PapermillExecutionError as error:
        raise UGradSLError(
            f"{notebook}: cell {error.exec_count} failed with {error.ename}: {error.evalue}; "
            f"see {target}"
        ) from error
    print(f"Written to {target}")


app.command()(presets)
app.command()(regime)
app.command()(experiment)
app.command()(estimate)
app.command()(tune)
app.command()(campaign)
app.command()(gpu)
app.command()(grid)
app.command()(original)
app.command()(merge)
app.command()(figure6)
app.command()(label_ldp)
app.command()(landscape)
app.command()(audit)
app.command()(claims)


@app.command()
def table(
    name: SettingName,
    scale: Scale = "bench",
    records: Annotated[
        Path | None, typer.Option(help="A file of records. Default: the published ones.")
    ] = None,
    as_json: AsJson = False,
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
) -> None:
    """Print the table of a setting: mean ± standard deviation over seeds, and gaps to Retrain."""
    from companion.experiments.records.store import read_records

    known_preset(name, scale)
    if records is not None and not records.exists():
        raise ConfigError(f"records: {records} does not exist")
    found = read_records(records) if records else summarys.published(name, scale)
    if not found:
        raise ConfigError(f"{name} ({scale}): no published records; run `ugradsl experiment` first")
    summarys.one_setting(found)
    summary = summarys.summary(found)
    if as_json:
        print(summary.to_json(orient="records", indent=2, force_ascii=not prints_unicode()))
    elif csv:
        print(summary.to_csv(index=False), end="")
    else:
        print_summary(found)


def _say(message: Warning | str, *_: object, **__: object) -> None:
    """A warning in a line of its own, without the line of code that it comes from."""
    print(f"ugradsl: {message}", file=sys.stderr)


def main() -> None:
    """Run the command; a user's error is one line on stderr and exit code 2.

    Of several processes the first speaks; another one does where something is wrong with it alone.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # cp1252 or ASCII has no ℓ: print a question mark
            stream.reconfigure(errors="replace")
    rank = int(os.environ.get("RANK", "0")) if int(os.environ.get("WORLD_SIZE", "1")) > 1 else 0
    if rank:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _say
            app(args=join_pairs(sys.argv[1:]))
    except UGradSLError as error:
        if not rank:
            print(f"ugradsl: {error}", file=sys.stderr)
        elif not isinstance(error, ConfigError):
            print(f"ugradsl: process {rank}: {error}", file=sys.stderr)
        sys.exit(REFUSED)
    except KeyboardInterrupt:
        print("ugradsl: stopped; what was finished is in the store", file=sys.stderr)
        sys.exit(STOPPED)


if __name__ == "__main__":
    main()
