"""From the same weights, data and batches, the playground takes the steps of `ugradsl_core`."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from playwright.sync_api import Browser, Page
from torch import Generator, Tensor, nn

from serving import HTML
from ugradsl_core.methods import METHODS
from ugradsl_core.methods.common import spawn
from ugradsl_core.methods.problem import Problem
from ugradsl_core.metrics import accuracy, average_gap
from ugradsl_core.samples import Batch
from ugradsl_core.training import Execution

ROOT = HTML.parents[1]
STATIC = ROOT / "book" / "_static"
WEIGHT = 40_000  # bytes of the playground's own script and style
CLOSE = 1e-8
ISLAND_AND_ONE = [3, *range(150, 170)]  # 21 points: the last of five batches has six

NAMES = ["ga", "neggrad+", "ugradsl", "ugradsl+", "retrain"]
EPOCHS = {"ga": 15, "ugradsl": 15}  # of four steps; the others have thirty in an epoch

# Runs of the page: (parameters, steps) → what a step in Python needs, and what came out.
TAKE = """([params, epochs]) => {
  const P = window.UGradSLPlayground;
  const run = P.init({...params, record: true});
  const before = [...run.weights];
  run.step(epochs * run.perEpoch);
  const points = (list) => list.map(({x, y, label}) => [x, y, label]);
  return {
    steps: run.steps, before, after: [...run.weights], orders: run.orders, state: run.state(),
    goal: run.goal, reference: [...run.reference], retain: points(run.retain),
    forget: points(run.forget), test: points(run.test), defaults: P.DEFAULTS,
  };
}"""


@dataclass(frozen=True, eq=False)
class Points:
    """Points in the plane, float64."""

    inputs: Tensor
    labels: Tensor
    num_classes: int = 3

    def __len__(self) -> int:
        return len(self.labels)

    def batches(self, plan: Iterable[Tensor], **_: object) -> Iterator[Batch]:
        for rows in plan:
            yield self.inputs[rows], self.labels[rows]


def points(rows: list[list[float]]) -> Points:
    table = torch.tensor(rows, dtype=torch.float64)
    return Points(table[:, :2], table[:, 2].long())


def network(weights: list[float]) -> nn.Module:
    """W1 (16 × 2), b1, W2 (3 × 16) and b2, one after the other."""
    net = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 3)).double()
    nn.utils.vector_to_parameters(torch.tensor(weights, dtype=torch.float64), net.parameters())
    return net


def weights_of(model: nn.Module) -> list[float]:
    weights: list[float] = nn.utils.parameters_to_vector(model.parameters()).tolist()
    return weights


def apart(first: list[float], second: list[float]) -> float:
    """The largest difference of a weight."""
    return max(abs(a - b) for a, b in zip(first, second, strict=True))


@pytest.fixture(scope="module")
def page(bare_browser: Browser) -> Iterator[Page]:
    """An empty page with the playground's numbers; it needs no built book."""
    made = bare_browser.new_page()
    made.set_content("<!doctype html><title>steps</title>")
    made.add_script_tag(path=STATIC / "playground.js")
    yield made
    made.close()


def taken(page: Page, params: dict[str, Any], epochs: int) -> dict[str, Any]:
    found: dict[str, Any] = page.evaluate(TAKE, [params, epochs])
    return found


def in_python(
    found: dict[str, Any], params: dict[str, Any], epochs: int, monkeypatch: pytest.MonkeyPatch
) -> nn.Module:
    """The method's own function on the page's weights and data, in the page's order."""
    method = METHODS[params["method"]]
    retain_stream, forget_stream, _ = spawn(torch.Generator().manual_seed(0))
    recorded = {
        retain_stream.initial_seed(): iter(found["orders"]["retain"]),
        forget_stream.initial_seed(): iter(found["orders"]["forget"]),
    }
    draw = torch.randperm

    def randperm(size: int, *, generator: Generator) -> Tensor:
        if generator.initial_seed() not in recorded:  # the counting of steps
            return draw(size, generator=generator)
        order = torch.tensor(next(recorded[generator.initial_seed()]))
        assert len(order) == size
        return order

    used = {name: params[name] for name in ("alpha", "p") if name in method.config.model_fields}
    settings = {**found["defaults"], **params}
    problem = Problem(
        make_model=lambda: network(found["before"]),
        trained_state=network(found["before"]).state_dict(),
        retain=points(found["retain"]),
        forget=points(found["forget"]),
        execution=Execution(device="cpu"),
    )
    with monkeypatch.context() as patched:
        patched.setattr(torch, "randperm", randperm)
        result = method(
            problem,
            method.config(
                lr=settings["lr"],
                momentum=settings["momentum"],
                weight_decay=settings["weightDecay"],
                batch_size=settings["batchSize"],
                epochs=epochs,
                **used,
            ),
            generator=torch.Generator().manual_seed(0),
        )
    assert result.steps == found["steps"]
    model = network(found["before"])
    model.load_state_dict(result.state_dict)
    return model


@pytest.mark.parametrize("forget", ["island", "random", "class", ISLAND_AND_ONE], ids=str)
@pytest.mark.parametrize("method", NAMES)
def test_steps_in_the_page_are_those_of_the_methods(
    method: str, forget: str | list[int], page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = {"method": method, "alpha": -0.4, "p": 0.9, "forget": forget}
    epochs = EPOCHS.get(method, 2)
    found = taken(page, params, epochs)
    assert found["steps"] >= 48
    model = in_python(found, params, epochs, monkeypatch)
    assert apart(found["before"], found["after"]) > 0.01
    assert apart(weights_of(model), found["after"]) < CLOSE


@pytest.mark.parametrize("alpha", [-2.0, -0.4, 0.0, 0.5, 1.0])
@pytest.mark.parametrize("p", [0.0, 0.6, 1.0])
def test_every_rate_and_weight_means_the_same(
    alpha: float, p: float, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = {"method": "ugradsl+", "alpha": alpha, "p": p, "forget": ISLAND_AND_ONE}
    found = taken(page, params, 2)
    model = in_python(found, params, 2, monkeypatch)
    assert apart(weights_of(model), found["after"]) < CLOSE


def test_what_the_page_reports_is_what_the_metrics_say(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = {"method": "ugradsl+", "alpha": -0.4, "p": 0.6, "forget": "random"}
    found = taken(page, params, 3)
    values = []
    for model in (in_python(found, params, 3, monkeypatch), network(found["reference"])):
        with torch.no_grad():
            logits = {
                part: model(points(found[part]).inputs) for part in ("retain", "forget", "test")
            }
        labels = {part: points(found[part]).labels for part in logits}
        sure = logits["forget"].softmax(1).gather(1, labels["forget"].unsqueeze(1)).mean()
        values.append(
            {
                "confidence": 100 * float(sure),
                "UA": 100 - accuracy(logits["forget"], labels["forget"]),
                "RA": accuracy(logits["retain"], labels["retain"]),
                "TA": accuracy(logits["test"], labels["test"]),
            }
        )
    reported = {name: found["state"][name] for name in values[0]}
    assert reported == pytest.approx(values[0], abs=CLOSE)
    assert found["goal"] == pytest.approx(values[1], abs=CLOSE)
    gap = average_gap(*values, names=("UA", "RA", "TA"))
    assert gap > 1
    assert found["state"]["gap"] == pytest.approx(gap, abs=CLOSE)


def test_without_smoothing_it_is_neggrad_plus(page: Page) -> None:
    plain = taken(page, {"method": "neggrad+", "alpha": -0.4}, 2)
    assert taken(page, {"method": "ugradsl+", "alpha": 0}, 2)["after"] == plain["after"]
    assert taken(page, {"method": "ugradsl+", "alpha": -0.4}, 2)["after"] != plain["after"]


def test_a_whole_retraining_ends_where_the_dashed_line_is(page: Page) -> None:
    epochs = page.evaluate("() => window.UGradSLPlayground.EPOCHS")
    found = taken(page, {"method": "retrain"}, epochs)
    assert found["after"] == found["reference"]
    assert found["state"]["gap"] == 0


def test_what_the_landing_page_says_of_the_runs(page: Page) -> None:
    """The numbers in its paragraph, and the lessons that they stand for."""
    count = """params => {
      const run = window.UGradSLPlayground.init(params);
      for (let step = 1; step <= 100; step += 1) {
        run.step();
        if (run.state().confidence < 5) return step;
      }
      return null;
    }"""
    text = (ROOT / "book" / "index.md").read_text("utf-8")
    needed = {
        "GA has erased the island by step {}": {"method": "ga"},
        "needs {} steps, because": {"method": "neggrad+", "p": 0.9},
        "UGradSL+ needs {} steps at −0.4": {"method": "ugradsl+", "p": 0.9, "alpha": -0.4},
        "and {} at −1": {"method": "ugradsl+", "p": 0.9, "alpha": -1},
    }
    for words, params in needed.items():
        assert words.format(page.evaluate(count, params)) in text
    assert page.evaluate(count, {"method": "ugradsl+", "alpha": 0.4}) is None
    ruined = taken(page, {"method": "ga"}, 10)
    assert ruined["steps"] == 40
    assert ruined["state"]["RA"] < 67
    gaps = [taken(page, {"p": p}, 10)["state"]["gap"] for p in (0.6, 0.9, 0.97)]
    assert gaps == sorted(gaps, reverse=True)
    assert taken(page, {"forget": "random"}, 0)["goal"]["confidence"] > 90


def test_it_is_light() -> None:
    files = [STATIC / name for name in ("playground.js", "playground-view.js", "playground.css")]
    assert sum(path.stat().st_size for path in files) <= WEIGHT
