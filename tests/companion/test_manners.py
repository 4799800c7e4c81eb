"""The files around the code: licences, citation, workflows, containers. What they name exists."""

import json
import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

import ugradsl_core

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
CALLERS = [
    *(path for path in WORKFLOWS if path.stem != "release"),
    *(ROOT / name for name in ("Dockerfile", "README.md", "CONTRIBUTING.md", ".ci/run")),
    *(ROOT / name for name in (".pre-commit-config.yaml", ".devcontainer/devcontainer.json")),
    ROOT / ".github" / "PULL_REQUEST_TEMPLATE.md",
]
OLDEST, NEWEST = 11, 13  # Python 3.x


class _NoKeyTwice(yaml.SafeLoader):
    """YAML's own loader keeps the last of two values of a key and says nothing."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        assert len(set(keys)) == len(keys), f"line {node.start_mark.line + 1}: a key twice"
        return super().construct_mapping(node, deep)


def read(name: str | Path) -> str:
    return (ROOT / name).read_text("utf-8")


def read_yaml(path: str | Path) -> Any:
    return yaml.load(read(path), _NoKeyTwice)


def project() -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads(read("pyproject.toml"))["project"]
    return found


def steps(workflow: Path) -> list[dict[str, Any]]:
    jobs = read_yaml(workflow)["jobs"].values()
    return [step for job in jobs for step in job["steps"]]


def of_bibtex(entry: str, field: str) -> str:
    found = re.search(rf"\b{field}\s*=\s*\{{+([^}}]*)", entry)
    assert found is not None, field
    return found[1]


def test_every_configuration_can_be_read() -> None:
    names = ["CITATION.cff", "_config.yml", "_toc.yml", ".pre-commit-config.yaml"]
    for path in (*names, *FORMS, *WORKFLOWS):
        assert isinstance(read_yaml(path), dict), path
    assert json.loads(read(".devcontainer/devcontainer.json"))["postCreateCommand"] == "make setup"


def test_a_key_that_is_there_twice_is_found() -> None:
    with pytest.raises(AssertionError, match="line 1: a key twice"):
        yaml.load("a: 1\nb: {c: 1}\na: 2", _NoKeyTwice)


def test_the_citation_is_of_this_version_and_of_the_paper() -> None:
    cff = read_yaml("CITATION.cff")
    assert cff["version"] == project()["version"] == ugradsl_core.__version__
    assert cff["license"] == project()["license"]
    assert cff["title"] == read_yaml("_config.yml")["title"]
    (paper,) = cff["references"]
    bibliography = read("book/references.bib")
    entry = bibliography[bibliography.index("@unpublished{ugradsl,") :].split("\n}\n")[0]
    assert paper["title"] == of_bibtex(entry, "title")
    assert paper["authors"] == [{"name": of_bibtex(entry, "author")}]
    page = read("book/cite.md")
    assert entry in page
    ours = page[page.index("@misc{") :]
    assert of_bibtex(ours, "title") == cff["title"]
    assert [{"name": of_bibtex(ours, "author")}] == cff["authors"]
    assert of_bibtex(ours, "note") == f"Version {cff['version']}"
    assert "book/cite" in read("_toc.yml")


def test_the_licences_are_here_and_named() -> None:
    assert project()["license"] == "MIT"
    assert project()["license-files"] == ["LICENSE"]
    assert read("LICENSE").startswith("MIT License\n")
    assert read("LICENSE-docs").startswith("Creative Commons Attribution 4.0 International\n")
    for name in ("README.md", "book/cite.md"):
        assert {"LICENSE", "LICENSE-docs"} <= set(
            re.findall(r"[`(](LICENSE[\w-]*)[`)]", read(name))
        )


def test_the_readmes_commands_run_on_every_system_and_python() -> None:
    block = read("README.md").split("## Two commands")[1].split("```")[1]
    commands = re.findall(r"^make \w+", block, re.MULTILINE)
    assert sorted(commands) == ["make book", "make test"]
    (job,) = read_yaml(".github/workflows/ci.yml")["jobs"].values()
    always = {step.get("run") for step in job["steps"] if "if" not in step}
    assert set(commands) <= always
    matrix = job["strategy"]["matrix"]
    assert [system.split("-")[0] for system in matrix["os"]] == ["ubuntu", "macos", "windows"]
    versions = [f"3.{minor}" for minor in range(OLDEST, NEWEST + 1)]
    assert matrix["python"] == versions
    assert project()["requires-python"] == f">={versions[0]}"
    name = "Programming Language :: Python :: 3."
    classifiers = [line for line in project()["classifiers"] if line.startswith(name)]
    assert [line.split(" :: ")[-1] for line in classifiers] == versions
    published = {step.get("run") for step in steps(ROOT / ".github/workflows/pages.yml")}
    assert "make book" in published


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_may_read_and_names_versions(workflow: Path) -> None:
    assert read_yaml(workflow)["permissions"] == {"contents": "read"}
    used = [step["uses"] for step in steps(workflow) if "uses" in step]
    assert used
    for action in used:
        assert re.fullmatch(r"actions/[\w-]+@v\d+", action), action


@pytest.mark.parametrize("path", CALLERS, ids=lambda path: path.name)
def test_every_target_that_is_called_is_in_the_makefile(path: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", read("Makefile"), re.MULTILINE))
    called = set(re.findall(r"(?:^|[`\"]|run: |entry: |RUN .*|&& )make ([a-z]+)", read(path), re.M))
    assert called, "the pattern finds no call"
    assert called <= targets


@pytest.mark.skipif(not (ROOT / "book" / "companion").is_dir(), reason="names the new folders")
def test_every_path_in_contributing_exists() -> None:
    named = set(re.findall(r"`((?:\w[\w.-]*/)+[\w.-]*)`", read("CONTRIBUTING.md")))
    made = {"_build/html", "_generated/"}
    assert len(named) > 10
    assert [name for name in sorted(named - made) if not (ROOT / name).exists()] == []


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
@pytest.mark.parametrize(
    ("system", "folder"), [("", ".venv/bin"), ("Windows_NT", ".venv/Scripts")], ids=["posix", "nt"]
)
@pytest.mark.parametrize("index", ["", "https://wheels.example/cpu"])
def test_make_installs_the_lock_on_each_system(system: str, folder: str, index: str) -> None:
    """What `make` would run, if nothing were set up: no line of it is run here."""
    changes = [f"OS={system}", f"TORCH_INDEX={index}", "JOBS=2"]
    command = ["make", "--dry-run", "--always-make", *changes, "test"]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    lines = said.splitlines()
    assert any(line.startswith(f"{folder}/python -m pytest ") for line in lines)
    assert {"bin", "Scripts"} & set(re.findall(r"\.venv/(\w+)/", said)) == {folder[6:]}
    installs = [
        line.split("--disable-pip-version-check ")[1] for line in lines if "pip inst" in line
    ]
    assert installs == [
        *(
            [
                f"--no-deps --index-url {index} --requirement .venv/torch.txt",
                "--requirement .venv/others.txt",
            ]
            if index
            else ["--requirement requirements.lock"]
        ),
        "--no-deps --editable .",
    ]


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_cpu_wheels_leave_the_cuda_libraries_out(tmp_path: Path) -> None:
    """The two lines of `make` that part the lock, run on a copy of it."""
    command = ["make", "--dry-run", "--always-make", "TORCH_INDEX=x", "JOBS=1", "setup"]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    (tmp_path / ".venv").mkdir()
    shutil.copy(ROOT / "requirements.lock", tmp_path)
    for line in re.findall(r"^grep .*$", said, re.MULTILINE):
        subprocess.run(["sh", "-c", line], cwd=tmp_path, check=True)

    def names(file: str) -> set[str]:
        text = (tmp_path / file).read_text("utf-8")
        return set(re.findall(r"^([\w-]+)==", text, re.MULTILINE))

    assert names(".venv/torch.txt") == {"torch", "torchvision"}
    left_out = names("requirements.lock") - names(".venv/others.txt")
    linux = re.findall(r'^([\w-]+)==.*sys_platform == "linux"$', read("requirements.lock"), re.M)
    assert left_out == set(linux)
    assert {"triton", "nvidia-cudnn-cu13"} <= left_out


def test_binder_takes_the_locked_versions() -> None:
    lines = [line for line in read(".binder/requirements.txt").splitlines() if line[0] != "#"]
    assert lines[0] == "--extra-index-url https://download.pytorch.org/whl/cpu"
    (constraint,) = (line.removeprefix("-c ") for line in lines if line.startswith("-c "))
    assert (ROOT / ".binder" / constraint).resolve() == ROOT / "requirements.lock"
    (editable,) = (line for line in lines if line.startswith("-e "))
    extra = re.fullmatch(r"-e \.\[(\w+)\]", editable)
    assert extra is not None
    assert extra[1] in project()["optional-dependencies"]
    assert os.name == "nt" or os.access(ROOT / ".binder" / "postBuild", os.X_OK)


@pytest.mark.parametrize(
    "form", [f for f in FORMS if f.stem != "config"], ids=lambda path: path.stem
)
def test_an_issue_form_is_whole(form: Path) -> None:
    """By GitHub's syntax of forms: what every form and every field of it has to have."""
    content = read_yaml(form)
    assert {"name", "description", "body"} <= set(content)
    names = [field["id"] for field in content["body"]]
    assert len(set(names)) == len(names)
    for field in content["body"]:
        assert set(field) <= {"type", "id", "attributes", "validations"}
        assert field["type"] in {"textarea", "input", "dropdown", "checkboxes"}
        assert field["attributes"]["label"]
        assert bool(field["attributes"].get("options")) == (
            field["type"] in {"dropdown", "checkboxes"}
        )
    assert any(field.get("validations", {}).get("required") for field in content["body"])
