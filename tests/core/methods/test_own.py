"""A user's own method: the book's example, its identity, and the ways to break the contract."""

import sys
import textwrap
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from toys import CPU, problem, whole_batch
from ugradsl_core import unlearn
from ugradsl_core.errors import ConfigError
from ugradsl_core.methods import get_method, make_config, passes

EXAMPLES = Path(__file__).resolve().parents[3] / "book" / "examples"
NAME = "my_ideas:to_uniform"
START = """
import torch
from ugradsl_core.methods import Problem, UnlearnConfig, UnlearnResult
from ugradsl_core.config import Config

class C(UnlearnConfig):
    pass
"""


@pytest.fixture
def _examples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))


def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, module: str) -> str:
    (tmp_path / f"{module}.py").write_text(START + textwrap.dedent(body), "utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, module, raising=False)
    return f"{module}:f"


@pytest.mark.usefixtures("_examples")
def test_the_example_of_the_book_takes_the_step_that_it_says() -> None:
    """One step of one batch: SGD on CE(D_r) + w · KL(uniform ‖ D_f), up to a constant."""
    subject = problem("linear")
    n_r, n_f = len(subject.retain), len(subject.forget)
    assert n_r % n_f == 0  # each forgotten sample appears as often as any other
    config = make_config(NAME, lr=0.1, epochs=1, batch_size=n_r, momentum=0, weight_decay=0,
                         weight=2.0, bn_mode="frozen")  # fmt: skip
    result = get_method(NAME)(subject, config, generator=torch.Generator().manual_seed(0))
    model = subject.trained_model().eval()
    (kept, labels), (gone, _) = whole_batch(subject.retain), whole_batch(subject.forget)
    value = F.cross_entropy(model(kept), labels) - 2.0 * model(gone).log_softmax(1).mean()
    value.backward()
    for name, parameter in model.named_parameters():
        expected = parameter.detach() - 0.1 * parameter.grad
        assert torch.allclose(result.state_dict[name], expected, atol=1e-5), name
    assert result.steps == 1
    assert result.forward_samples == 2 * n_r


@pytest.mark.usefixtures("_examples")
def test_it_has_a_title_defaults_and_a_count() -> None:
    method = get_method(NAME)
    assert method.title == "To uniform"
    assert method.config().weight == 1.0
    with pytest.raises(ConfigError, match="weight: should be greater than or equal to 0; found -1"):
        make_config(NAME, weight=-1)
    with pytest.raises(ConfigError, match="unknown parameter 'wieght'"):
        make_config(NAME, wieght=1)
    assert passes(make_config(NAME, epochs=3), 100, 10, 10).forward == 300


@pytest.mark.usefixtures("_examples")
def test_unlearn_takes_it_too() -> None:
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(6, 3))
    data = torch.utils.data.TensorDataset(torch.randn(30, 6), torch.arange(30) % 3)
    kept, gone = (torch.utils.data.Subset(data, rows) for rows in (range(20), range(20, 30)))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    result = unlearn(NAME, model, retain=kept, forget=gone, epochs=2, progress=False, execution=CPU)
    assert result.method == NAME
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert any(not torch.equal(before[n], v) for n, v in result.model.state_dict().items())


def test_edited_code_is_another_method(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    body = """
    def f(problem: Problem, config: C, *, generator: torch.Generator) -> UnlearnResult:
        return UnlearnResult(dict(problem.trained_state), 0, 0, 0, 0.0)
    """
    name = own(tmp_path, monkeypatch, body, "edited_method")
    first = make_config(name).key_fields()
    assert first == make_config(name).key_fields()
    path = tmp_path / "edited_method.py"
    path.write_text(path.read_text("utf-8") + "# changed\n", "utf-8")
    assert make_config(name).key_fields()["source"] != first["source"]
    assert {k: v for k, v in first.items() if k != "source"} == get_method(
        "ft"
    ).config().key_fields()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("f = 3", "should be callable; found int"),
        ("def g(): pass", "unknown function of"),
        ("def f(problem, config): pass", r"should take \(problem, config, \*, generator\); found"),
        ("def f(problem, config, *, generator): pass", "found nothing"),
        ("def f(problem, config: int, *, generator): pass", "found int"),
        ("def f(problem, config: 'Nowhere', *, generator): pass", "annotations of"),
        (
            "class D(Config):\n    x: float = 1\ndef f(problem, config: D, *, generator): pass",
            "D should be an UnlearnConfig, or have a method passes",
        ),
        (
            "class D(UnlearnConfig):\n    x: float\ndef f(problem, config: D, *, generator): pass",
            "D should have a default for 'x'",
        ),
        ("raise RuntimeError('no')", r"cannot be imported \(RuntimeError: no\)"),
    ],
)
def test_what_is_no_method_is_refused(
    body: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:  # fmt: skip
    module = f"odd_{abs(hash(request.node.name))}"
    with pytest.raises(ConfigError, match=message):
        get_method(own(tmp_path, monkeypatch, body, module))


def test_a_module_that_is_missing_and_a_typo_of_a_variant() -> None:
    with pytest.raises(ConfigError, match="method: the module 'no_such' of 'no_such:f' was not"):
        get_method("no_such:f")
    with pytest.raises(ConfigError, match="unknown method 'ugradsl:adaptve'"):
        get_method("ugradsl:adaptve")


@pytest.mark.parametrize(
    ("does", "message"),
    [
        ("pass", "should return an UnlearnResult; found NoneType"),
        ("raise ZeroDivisionError('oops')", r"fails \(ZeroDivisionError: oops\)"),
        (
            "return UnlearnResult({'a': torch.zeros(1)}, 0, 0, 0, 0.0)",
            "should return the weights of the same model",
        ),
        (
            "next(iter(problem.trained_state.values())).add_(1)\n    "
            "return UnlearnResult(dict(problem.trained_state), 0, 0, 0, 0.0)",
            "changes the original model's weights in place",
        ),
        (
            "problem.forget.all_labels[:8] = 0\n    "
            "return UnlearnResult(dict(problem.trained_state), 0, 0, 0, 0.0)",
            "changes the samples of D_f in place",
        ),
    ],
)
def test_what_breaks_the_contract_in_a_run_is_said(
    does: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:  # fmt: skip
    body = f"def f(problem, config: C, *, generator):\n    {does}\n"
    name = own(tmp_path, monkeypatch, body, f"broken_{abs(hash(request.node.name))}")
    with pytest.raises(ConfigError, match=message):
        get_method(name)(problem(), make_config(name), generator=torch.Generator())
