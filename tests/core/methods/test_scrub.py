"""SCRUB: its divergence in closed form, its teacher, the order of its steps, FT as a limit."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from toys import ALL_MODELS, K, generator, problem, replaced, same_bits, unlearned
from ugradsl_core.methods.problem import Problem
from ugradsl_core.methods.scrub import divergence


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=generator(seed), dtype=torch.float64)


@pytest.mark.parametrize("temperature", [1.0, 4.0, 0.5])
def test_the_divergence_is_its_sum_in_plain_python(temperature: float) -> None:
    student, teacher = 3 * normal(5, K), 3 * normal(5, K, seed=1)

    def softmax(row: list[float]) -> list[float]:
        exponentials = [math.exp(value / temperature) for value in row]
        return [e / sum(exponentials) for e in exponentials]

    total = 0.0
    for s, t in zip(student.tolist(), teacher.tolist(), strict=True):
        total += sum(q * math.log(q / p) for p, q in zip(softmax(s), softmax(t), strict=True))
    expected = temperature**2 * total / 5
    assert float(divergence(student, teacher, temperature)) == pytest.approx(expected, rel=1e-10)


def test_the_divergence_of_two_classes_in_closed_form() -> None:
    """Student at ½, teacher at q: KL = ln 2 − H(q), at T = 1 and, with halved logits, at T = 2."""
    q = 0.9
    logit = math.log(q / (1 - q))
    entropy = -(q * math.log(q) + (1 - q) * math.log(1 - q))
    student = torch.zeros(1, 2, dtype=torch.float64)
    teacher = torch.tensor([[logit, 0.0]], dtype=torch.float64)
    assert float(divergence(student, teacher, 1.0)) == pytest.approx(math.log(2) - entropy)
    assert float(divergence(student, 2 * teacher, 2.0)) == pytest.approx(
        4 * (math.log(2) - entropy)
    )


def test_the_divergence_vanishes_only_where_both_agree_and_is_not_symmetric() -> None:
    a, b = normal(6, K), normal(6, K, seed=1)
    assert float(divergence(a, a + 3.0, 4.0)) == pytest.approx(0, abs=1e-12)
    assert float(divergence(a, b, 4.0)) > 0
    assert float(divergence(a, b, 4.0)) != pytest.approx(float(divergence(b, a, 4.0)), rel=1e-3)


def test_the_gradient_of_the_divergence_by_its_formula() -> None:
    student, teacher = normal(3, K).requires_grad_(), normal(3, K, seed=1)
    divergence(student, teacher, 4.0).backward()
    expected = 4.0 * (F.softmax(student.detach() / 4, 1) - F.softmax(teacher / 4, 1)) / 3
    torch.testing.assert_close(student.grad, expected)


class Log:
    """Samples that write into one list which set, and how many of it, was read."""

    def __init__(self, samples: Any, name: str, log: list[tuple[str, list[int]]]) -> None:
        self.samples, self.name, self.log = samples, name, log
        self.labels, self.num_classes = samples.labels, samples.num_classes

    def __len__(self) -> int:
        return len(self.samples)

    def batches(self, plan: Any, **options: Any) -> Any:
        def noted() -> Any:
            for rows in plan:
                self.log.append((self.name, rows.tolist()))
                yield rows

        return self.samples.batches(noted(), **options)


def logged(**changes: Any) -> tuple[list[tuple[str, list[int]]], Any]:
    """What was read, in order, with 24 retain and 8 forget samples in batches of 8 and 4."""
    log: list[tuple[str, list[int]]] = []
    subject = problem("mlp")
    subject = replaced(
        subject,
        retain=Log(subject.retain, "r", log),
        forget=Log(subject.forget, "f", log),
    )
    result = unlearned("scrub", subject, forget_batch_size=4, **{"epochs": 4, **changes})
    return log, result


@pytest.mark.parametrize("msteps", [0, 1, 2, 4, 9])
def test_forget_passes_come_first_in_the_first_epochs_alone(msteps: int) -> None:
    log, result = logged(msteps=msteps)
    order = "".join(name for name, _ in log)
    assert order == "ffrrr" * min(msteps, 4) + "rrr" * max(4 - msteps, 0)
    assert result.steps == len(order)
    # forget steps maximise d, which is never negative; retain steps minimise a positive loss
    for name, loss in zip(order, result.losses, strict=True):
        assert loss <= 1e-6 if name == "f" else loss > 0


def test_each_pass_reads_each_sample_once() -> None:
    log, _ = logged(msteps=2)
    passes: list[tuple[str, list[int]]] = []
    for name, rows in log:
        if passes and passes[-1][0] == name and len(passes[-1][1]) < (8 if name == "f" else 24):
            passes[-1][1].extend(rows)
        else:
            passes.append((name, list(rows)))
    assert [name for name, _ in passes] == ["f", "r", "f", "r", "r", "r"]
    for name, rows in passes:
        assert sorted(rows) == list(range(8 if name == "f" else 24))
    assert passes[1][1] != passes[3][1]


def test_joint_steps_pair_both_sets_while_t_is_at_most_msteps() -> None:
    log, result = logged(msteps=2, variant="joint")
    order = "".join(name for name, _ in log)
    assert order.count("r") == result.steps == 12
    assert order.count("f") == 6
    assert order[-6:] == "rrrrrr"
    forgotten = [rows for name, rows in log if name == "f"]
    for epoch in (forgotten[:3], forgotten[3:]):
        used = torch.bincount(torch.tensor(epoch).flatten(), minlength=8)
        assert sorted(used.tolist()) == [1] * 4 + [2] * 4  # 12 places, evenly


@pytest.mark.parametrize("variant", ["alternating", "joint"])
@pytest.mark.parametrize("kind", ALL_MODELS)
def test_without_divergence_and_forget_steps_it_is_ft(kind: str, variant: str) -> None:
    subject = problem(kind)
    plain = {"gamma": 1.0, "alpha": 0.0, "msteps": 0, "variant": variant}
    scrub, ft = unlearned("scrub", subject, **plain), unlearned("ft", subject)
    assert same_bits(scrub.state_dict, ft.state_dict)
    assert scrub.losses == ft.losses
    assert scrub.forward_samples == ft.forward_samples  # no teacher is asked


@pytest.mark.parametrize("variant", ["alternating", "joint"])
def test_the_teacher_never_changes(variant: str) -> None:
    built: list[nn.Module] = []
    subject = problem("cnn")

    def build() -> nn.Module:
        built.append(subject.make_model())
        return built[-1]

    result = unlearned("scrub", replaced(subject, make_model=build), variant=variant, alpha=0.5)
    teacher, student = built
    assert same_bits(teacher.state_dict(), dict(subject.trained_state))  # statistics included
    assert not any(module.training for module in teacher.modules())
    assert all(p.grad is None for p in teacher.parameters())
    assert same_bits(student.state_dict(), result.state_dict)
    assert not same_bits(result.state_dict, dict(subject.trained_state))


def by_hand(subject: Problem, joint: bool) -> nn.Module:
    """Two epochs with one batch of each set, of which the first disobeys, in plain PyTorch."""
    teacher, model = subject.trained_model().eval(), subject.trained_model().train()
    ((x_r, y_r),) = subject.retain.batches([torch.arange(len(subject.retain))])
    ((x_f, _),) = subject.forget.batches([torch.arange(len(subject.forget))])
    optimiser = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)

    def d(x: Tensor) -> tuple[Tensor, Tensor]:
        logits = model(x)
        with torch.no_grad():
            target = (teacher(x) / 3.0).softmax(1)
        kl = (target * (target.log() - (logits / 3.0).log_softmax(1))).sum(1).mean()
        return logits, 9.0 * kl

    def retain_loss() -> Tensor:
        logits, distance = d(x_r)
        return 0.8 * F.cross_entropy(logits, y_r) + 0.3 * distance

    def step(loss: Tensor) -> None:
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    if joint:
        step(retain_loss() - d(x_f)[1])
    else:
        step(-d(x_f)[1])
        step(retain_loss())
    step(retain_loss())
    return model


@pytest.mark.parametrize("variant", ["alternating", "joint"])
@pytest.mark.parametrize("kind", ["cnn", "linear", "bert"])
def test_steps_by_hand(kind: str, variant: str) -> None:
    subject = problem(kind)
    if kind == "bert":  # without dropout, which would draw other numbers

        def build() -> nn.Module:
            model = ALL_MODELS["bert"]()
            for module in model.modules():
                if isinstance(module, nn.Dropout):
                    module.p = 0.0
            return model

        subject = replaced(subject, make_model=build)
    found = unlearned(
        "scrub", subject, lr=0.05, epochs=2, msteps=1, gamma=0.8, alpha=0.3, temperature=3.0,
        batch_size=64, forget_batch_size=8, variant=variant,
    )  # fmt: skip
    for name, value in by_hand(subject, variant == "joint").state_dict().items():
        torch.testing.assert_close(found.state_dict[name], value, rtol=1e-3, atol=1e-5, msg=name)
