"""The ``ugradsl`` command."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from ugradsl_core import data, parameters, results, settings
from ugradsl_core.cli_tables import print_summary
from ugradsl_core.errors import ConfigError, UGradSLError
from ugradsl_core.unlearning import METHODS

app = typer.Typer(
    help="Machine unlearning with smoothed labels: methods, experiments and notebooks.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
SettingName = Annotated[str, typer.Argument(help="A preset, such as cifar10-random10.")]
Scale = Annotated[str, typer.Option(help="smoke, bench or paper.")]
StoreFolder = Annotated[Path, typer.Option("--store", help="Directory of models and records.")]
DataRoot = Annotated[
    str | None, typer.Option("--data-root", help="Directory of the data. Default: $UGRADSL_DATA.")
]
Download = Annotated[bool, typer.Option("--download", help="Fetch missing data.")]
Device = Annotated[str, typer.Option(help="cpu, cuda, cuda:1, … or auto.")]
PAIRS = {"allow_extra_args": True, "ignore_unknown_options": True}


def _pairs(arguments: list[str]) -> list[tuple[str, str]]:
    """``-p NAME VALUE`` (or ``-p NAME=VALUE``) from the arguments that Typer left over."""
    pairs, rest = [], list(arguments)
    while rest:
        option = rest.pop(0)
        if option not in {"-p", "--parameter"}:
            raise ConfigError(f"unexpected argument {option!r}; parameters are -p NAME VALUE")
        if rest and "=" in rest[0]:
            name, value = rest.pop(0).split("=", 1)
        elif len(rest) >= 2:
            name, value = rest.pop(0), rest.pop(0)
        else:
            raise ConfigError("-p: needs a name and a value, as in -p alpha -0.2")
        pairs.append((name, value))
    return pairs


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
        print(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    for name, row in rows.items():
        print(f"{name:10} {row['summary']}  [reads {row['reads']}]")
        print(" " * 11 + ", ".join(f"{key}={value}" for key, value in row["defaults"].items()))  # type: ignore[attr-defined]


@app.command()
def datasets(as_json: AsJson = False) -> None:
    """List the data sets."""
    rows = {name: (loader.__doc__ or "").split("\n")[0] for name, loader in data.DATASETS.items()}
    if as_json:
        print(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    for name, row in rows.items():
        print(f"{name:10} {row}")


@app.command()
def presets(scale: Scale = "smoke", as_json: AsJson = False) -> None:
    """Print the settings of a scale and the final hyperparameters of every method."""
    rows = settings.load_presets(scale)
    if as_json:
        print(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    for name, preset in rows.items():
        print(f"{name} ({scale})\n  {json.dumps(preset['setting'], ensure_ascii=False)}")
        for label, entry in preset["methods"].items():
            values = ", ".join(f"{key}={value}" for key, value in entry["config"].items())
            print(f"  {label:18} {values}")


@app.command(context_settings=PAIRS)
def run(
    context: typer.Context,
    notebook: Annotated[str, typer.Argument(help="Its name, such as random_forgetting.")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Default: NOTEBOOK-run.ipynb here.")
    ] = None,
) -> None:
    """Execute a notebook by papermill with -p NAME VALUE …, after checking every parameter."""
    values = parameters.parse_parameters(notebook, _pairs(context.args))
    source = parameters.NOTEBOOK_FOLDER / f"{notebook}.ipynb"
    if not source.exists():
        raise ConfigError(f"notebook: {source} does not exist; run from a clone of the project")
    target = output or Path(f"{notebook}-run.ipynb")
    if target.resolve() == source.resolve():
        raise ConfigError("output: would overwrite the notebook itself; choose another file")
    import papermill

    try:
        papermill.execute_notebook(str(source), str(target), parameters=values, progress_bar=True)
    except papermill.PapermillExecutionError as error:
        raise UGradSLError(
            f"{notebook}: cell {error.exec_count} failed with {error.ename}: {error.evalue}; "
            f"see {target}"
        ) from error
    print(f"Written to {target}")


def _setting(name: str, scale: str, pairs: list[tuple[str, str]]) -> tuple[settings.Setting, Any]:
    """The preset's setting with changes, and changes of single methods by label."""
    setting = settings.preset_setting(name, scale).model_dump()
    changes: dict[str, dict[str, Any]] = {}
    for key, text in pairs:
        head, _, field = key.rpartition(".")
        value = None if text in {"None", "null"} else text
        if head in {"model", "training"}:
            setting[head][field] = value
        elif head:
            settings.split_label(head)
            changes.setdefault(head, {})[field] = value
        else:
            setting[field] = value
    return settings.Setting(**setting), changes


def _labels(text: str, name: str, scale: str) -> list[str]:
    if text != "all":
        return parameters.split_list(text)
    return ["retrain", *settings.get_preset(name, scale)["methods"]]


@app.command(context_settings=PAIRS)
def experiment(
    context: typer.Context,
    name: SettingName,
    scale: Scale = "smoke",
    methods: Annotated[str, typer.Option(help="Comma-separated, or all.")] = "all",
    seeds: Annotated[str, typer.Option(help="Comma-separated whole numbers.")] = "0",
    store: StoreFolder = Path("store"),
    data_root: DataRoot = None,
    download: Download = False,
    device: Device = "auto",
    publish: Annotated[
        Path | None, typer.Option(help="Also write all these records to a file.")
    ] = None,
) -> None:
    """Run one setting × methods × seeds into the store; what is there is not run again.

    -p fraction 0.2, -p training.epochs 5 or -p ugradsl.alpha -0.2 change the preset.
    """
    from tqdm import tqdm

    from ugradsl_core import experiments
    from ugradsl_core.store import open_store, write_records
    from ugradsl_core.types import Execution

    setting, changes = _setting(name, scale, _pairs(context.args))
    labels = _labels(methods, name, scale)
    unused = set(changes) - set(labels)
    if unused:
        raise ConfigError(f"-p {min(unused)}.…: this method is not among --methods")
    configs = {
        label: settings.preset_config(label, name, scale, **changes.get(label, {}))
        for label in labels
    }
    if "retrain" in configs:
        trained = {**setting.training.model_dump(), **changes.get("retrain", {})}
        configs["retrain"] = METHODS["retrain"].config(**trained)
    seed_list = parameters.parse_seeds(seeds)
    execution = Execution(device=device)
    loaded = experiments.load_data(setting, execution, data_root, download=download)
    opened = open_store(store)
    with tqdm(total=len(configs) * len(seed_list), unit="run", file=sys.stderr) as bar:
        records = experiments.run_grid(
            setting,
            loaded,
            configs,
            seed_list,
            opened,
            execution,
            progress=bar.set_postfix_str,
            on_record=lambda _: bar.update(),
        )
    print_summary(records)
    if publish is not None:
        write_records(publish, records)
        print(f"{len(records)} records written to {publish}")


@app.command()
def tune(
    name: SettingName,
    scale: Scale = "smoke",
    methods: Annotated[str, typer.Option(help="Comma-separated, or all.")] = "all",
    trials: Annotated[int, typer.Option(help="Trials of each method.")] = 8,
    store: StoreFolder = Path("store"),
    data_root: DataRoot = None,
    download: Download = False,
    device: Device = "auto",
    publish: Annotated[Path | None, typer.Option(help="Also write all trials to a file.")] = None,
    save: Annotated[bool, typer.Option(help="Write the winners into the presets.")] = False,
) -> None:
    """Search hyperparameters with one budget for all methods, judged on validation data."""
    from tqdm import tqdm

    from ugradsl_core import experiments, provenance, search
    from ugradsl_core.store import open_store, write_records
    from ugradsl_core.types import Execution, Record

    setting = settings.preset_setting(name, scale)
    labels = list(search.SPACES) if methods == "all" else parameters.split_list(methods)
    execution = Execution(device=device)
    loaded = experiments.load_data(setting, execution, data_root, download=download)
    opened = open_store(store)
    records: list[Record] = []
    with tqdm(total=len(labels) * trials, unit="trial", file=sys.stderr) as bar:
        for label in labels:
            best, gap, tried = search.search(
                label,
                setting,
                loaded,
                trials,
                opened,
                execution,
                progress=bar.set_postfix_str,
                on_trial=lambda *_: bar.update(),
            )
            records += tried if not records else tried[1:]
            values = best.model_dump()
            bar.write(f"{label}: validation gap {gap:.2f} with {values}", file=sys.stderr)
            if save:
                source = {
                    "kind": "search",
                    "trials": trials,
                    "seed": search.SEARCH_SEED,
                    "validation_gap": round(gap, 4),
                    "commit": provenance.commit(),
                }
                settings.store_winner(label, name, scale, values, source)
    if publish is not None:
        write_records(publish, records)


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
    from ugradsl_core.store import read_records

    settings.get_preset(name, scale)
    if records is not None and not records.exists():
        raise ConfigError(f"records: {records} does not exist")
    found = read_records(records) if records else results.published(name, scale)
    if not found:
        raise ConfigError(f"{name} ({scale}): no published records; run `ugradsl experiment` first")
    results.one_setting(found)
    summary = results.summary(found)
    if as_json:
        print(summary.to_json(orient="records", indent=2, force_ascii=False))
    elif csv:
        print(summary.to_csv(index=False), end="")
    else:
        print_summary(found)


def main() -> None:
    """Run the command; a user's error is one line on stderr and exit code 2."""
    try:
        app()
    except UGradSLError as error:
        print(f"ugradsl: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("ugradsl: stopped; what was finished is in the store", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
