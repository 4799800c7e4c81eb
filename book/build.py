"""Build the book: execute every notebook at its default parameters, then write the HTML.

    python book/build.py            everything, as `make book` does
    python book/build.py --no-run   pages only, with the outputs the notebooks were committed with

All work happens in a copy under `_build/source`; the notebooks of the repository stay as they are.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import shutil
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import nbformat
import papermill

from companion.notebooks.kernels import CHOICE
from companion.notebooks.longest import LONGEST

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "_build"
SOURCE = BUILD / "source"
HTML = BUILD / "html"
PAPERMILL_MARK = "papermill-error-cell-tag"  # on cells that papermill adds beside a failed one
MOST_JOBS = 4
STAGED = ("_config.yml", "_toc.yml", "CHANGELOG.md", "book")
MODELS = BUILD / "models"  # what notebooks train, each model once in a build
SECONDS = "seconds.json"  # of each live run, for the stamps of the pages


class NotebookError(Exception):
    """A notebook did not run to its end; the message says which cell and why."""


def stage() -> list[Path]:
    """Copy the book's sources to a clean tree and return the notebooks, the longest first."""
    shutil.rmtree(SOURCE, ignore_errors=True)
    SOURCE.mkdir(parents=True)
    ignore = shutil.ignore_patterns("_generated", "__pycache__", "companion")
    for name in STAGED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, SOURCE / name, ignore=ignore)
        else:
            shutil.copy2(ROOT / name, SOURCE / name)
    (SOURCE / "notebooks").mkdir()
    order = {name: place for place, name in enumerate(LONGEST)}
    found = sorted((ROOT / "notebooks").glob("*.ipynb"))
    return sorted(found, key=lambda path: order.get(path.stem, len(order)))


def execute(source: Path, target: Path) -> None:
    """Run one notebook at its default parameters and write it, with outputs, to `target`."""
    problem = None
    try:
        papermill.execute_notebook(
            source, target, cwd=target.parent, progress_bar=False, log_output=False
        )
    except Exception as error:  # a failed cell, a timeout or a dead kernel: all stop the build
        problem = str(error).strip()
    notebook = nbformat.read(target if target.exists() else source, as_version=4)
    cells = _own_code_cells(notebook)
    if problem is None and any(cell.execution_count is None for _, cell in cells):
        problem = "not every cell was executed"
    if problem is not None:
        raise NotebookError(f"{source.name} failed {_where_it_stopped(cells)}\n{problem}")
    _drop_run_metadata(notebook)
    describe_figures(notebook)
    nbformat.write(notebook, target)


def _own_code_cells(notebook: nbformat.NotebookNode) -> list[tuple[int, nbformat.NotebookNode]]:
    """The cells with code, numbered from 1 as in the notebook before papermill marked an error."""
    own = [cell for cell in notebook.cells if PAPERMILL_MARK not in cell.metadata.get("tags", [])]
    numbered = enumerate(own, start=1)
    return [(n, cell) for n, cell in numbered if cell.cell_type == "code" and cell.source.strip()]


def _where_it_stopped(cells: list[tuple[int, nbformat.NotebookNode]]) -> str:
    """The last cell that was started: when a kernel dies, all are marked as completed."""
    started = [c for c in cells if c[1].metadata.get("papermill", {}).get("start_time")]
    if not started:
        return "before its first cell"
    number, cell = started[-1]
    return f"in cell {number}, which begins {cell.source.strip().splitlines()[0]!r}"


def _drop_run_metadata(notebook: nbformat.NotebookNode) -> None:
    """Readers can download the notebook: it should not carry this machine's paths and times."""
    for part in (notebook, *notebook.cells):
        for key in ("papermill", "execution"):
            part.metadata.pop(key, None)


def describe_figures(notebook: nbformat.NotebookNode) -> None:
    """Take a figure's words from its output, where they were made from the data that it shows."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            for details in output.get("metadata", {}).values():
                if isinstance(details, dict) and details.get("alt"):
                    image = cell.metadata.setdefault("mystnb", {}).setdefault("image", {})
                    image["alt"] = details["alt"]


def run_notebooks(notebooks: list[Path], jobs: int) -> None:
    """Execute the notebooks into the staged tree, ``jobs`` at a time, with a line for each.

    The processor's cores are shared out among them.
    """
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cores() // jobs)))
    shutil.rmtree(MODELS, ignore_errors=True)  # of the code as it was
    os.environ["UGRADSL_MODELS"] = str(MODELS)
    os.environ.setdefault(*CHOICE)
    os.environ.setdefault("TQDM_DISABLE", "1")  # a bar in a page would show how busy we were
    width = max((len(path.stem) for path in notebooks), default=0)
    heads = [
        f"[{number}/{len(notebooks)}] {path.stem:<{width}}"
        for number, path in enumerate(notebooks, start=1)
    ]
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
        running = {
            pool.submit(_run, path, head): path.stem
            for path, head in zip(notebooks, heads, strict=True)
        }
        seconds = {}
        try:
            for ended in as_completed(running):
                seconds[running[ended]] = round(ended.result(), 1)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    (SOURCE / "notebooks" / SECONDS).write_text(json.dumps(seconds, sort_keys=True), "utf-8")


def _run(path: Path, head: str) -> float:
    print(f"{head}  running", flush=True)
    start = time.perf_counter()
    execute(path, SOURCE / "notebooks" / path.name)
    seconds = time.perf_counter() - start
    print(f"{head}  done in {seconds:.1f} s", flush=True)
    return seconds


def cores() -> int:
    """The cores that this process may use."""
    allowed = getattr(os, "sched_getaffinity", None)
    return len(allowed(0)) if allowed else os.cpu_count() or 1


def build_html(jobs: int) -> int:
    """Write the pages with Jupyter Book, whose command line cannot work side by side.

    Every Sphinx warning is an error; all of them are listed before the build fails. Pages are
    built into an empty folder, so that no file of an earlier build stands in for one that this
    build lacks.
    """
    from jupyter_book.sphinx import build_sphinx

    shutil.rmtree(HTML, ignore_errors=True)
    result = build_sphinx(
        SOURCE,
        HTML,
        noconfig=True,
        path_config=SOURCE / "_config.yml",
        confoverrides={
            "external_toc_path": (SOURCE / "_toc.yml").as_posix(),
            "latex_individualpages": False,
            "nitpicky": True,
        },
        warningiserror=True,
        keep_going=True,
        freshenv=True,
        jobs=jobs,
    )
    return result if isinstance(result, int) else 1


def main() -> int:
    """Stage, execute, build; the exit code says whether all of it went well."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--no-run", action="store_true", help="keep the committed outputs")
    jobs = min(cores(), MOST_JOBS)
    parser.add_argument("--jobs", type=int, default=jobs, help="notebooks at a time (%(default)s)")
    arguments = parser.parse_args()
    if arguments.jobs < 1:
        parser.error(f"--jobs: should be at least 1; found {arguments.jobs}")
    notebooks = stage()
    try:
        if arguments.no_run:
            for path in notebooks:
                notebook = nbformat.read(path, as_version=4)
                describe_figures(notebook)
                nbformat.write(notebook, SOURCE / "notebooks" / path.name)
        else:
            run_notebooks(notebooks, arguments.jobs)
    except NotebookError as failure:
        print(f"\nThe book was not built: {failure}", file=sys.stderr)
        return 1
    if code := build_html(arguments.jobs):
        print("\nThe book was not built: see the warnings above.", file=sys.stderr)
        return code
    print(f"\nThe book is built. Open {(HTML / 'index.html').as_uri()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
