"""Processes that read: as many as asked for, kept from epoch to epoch, and the same results."""

import multiprocessing
from collections.abc import Iterator
from typing import Any

import pytest
import torch
import torch.multiprocessing
from torch.utils.data import DataLoader

from toys import CPU, K, same_bits
from ugradsl_core import DataError, evaluate, unlearn
from ugradsl_core.api.data import prepare
from ugradsl_core.training import shuffled
from user_sets import Dying, InWorkers, Items, Noisy, Numbered, Pids, line, number, reading

SETS: dict[str, Any] = {"retain": Numbered(8, 24), "forget": Numbered(0, 8)}


def run(method: str = "ft", **given: Any) -> Any:
    arguments = {**SETS, "lr": 0.05, "epochs": 2, "batch_size": 8, "execution": CPU, **given}
    return unlearn(method, line(), **arguments)


pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create")


@pytest.fixture(autouse=True)
def _none_left() -> Iterator[None]:
    yield
    assert not multiprocessing.active_children()


@pytest.mark.parametrize("method", ["ft", "ugradsl", "rl", "salun", "scrub", "pabi", "iu"])
def test_results_do_not_depend_on_the_number_of_processes(method: str) -> None:
    """With transforms that draw from torch, ``random`` and NumPy."""
    noisy = {"retain": Noisy(8, 24), "forget": Noisy(0, 8)}
    epochs = {} if method == "iu" else {"epochs": 2, "lr": 0.05}
    found = [
        unlearn(method, line(), **noisy, **epochs, batch_size=8, workers=n, execution=CPU)
        for n in (0, 1, 2)
    ]
    assert same_bits(found[0].model.state_dict(), found[1].model.state_dict())
    assert same_bits(found[0].model.state_dict(), found[2].model.state_dict())


def test_processes_live_on_from_epoch_to_epoch_and_from_set_to_set() -> None:
    given = {"retain": Pids(8, 24), "forget": Pids(0, 8)}
    generator = torch.Generator().manual_seed(0)
    with reading(given, 2) as sets:
        samples, _, _ = prepare(line(), sets, CPU, training=False)
        alone, together = [], []
        for _ in range(3):  # epochs over one set, then over the other
            for name in given:
                plan = shuffled(len(samples[name]), 4, generator)
                alone += [x[:, 0].unique().tolist() for x, _ in samples[name].batches(plan)]
        for _ in range(3):  # epochs over both at a time
            plans = {name: shuffled(len(s), 4, generator)[:2] for name, s in samples.items()}
            both = zip(*(samples[name].batches(plans[name]) for name in given), strict=True)
            together += [x[:, 0].unique().tolist() for pair in both for x, _ in pair]
    assert len({pid for batch in alone for pid in batch}) == 2
    assert len({pid for batch in alone + together for pid in batch}) == 4


def test_a_plan_that_is_left_halfway_leaves_nothing_behind() -> None:
    with reading({"retain": Numbered(0, 24)}, 1) as sets:
        samples, _, _ = prepare(line(), sets, CPU, training=False)
        for _ in range(3):
            first = next(iter(samples["retain"].batches(torch.arange(24).split(4))))
            assert torch.equal(first[0], torch.stack([number(i) for i in range(4)]))
        assert len(multiprocessing.active_children()) == 1


def test_a_loader_brings_its_number_of_processes() -> None:
    reading = {"retain": InWorkers(8, 24), "forget": InWorkers(0, 8)}
    loaders = {"retain": DataLoader(reading["retain"], num_workers=1), "forget": reading["forget"]}
    expected = run().model.state_dict()
    assert same_bits(run(**loaders).model.state_dict(), expected)
    assert same_bits(run(**reading, workers=1).model.state_dict(), expected)
    with pytest.raises(DataError, match=r"retain: item 0 cannot be read .*main process"):
        run(**loaders, workers=0)
    report = evaluate(line(), **loaders, test=InWorkers(32, 8))
    assert report == evaluate(line(), **SETS, test=Numbered(32, 8))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda i: (number(i), i % K + 8 * (i == 5)), r"found 9 \(item 5\)"),
        (lambda i: (number(i * (1 if i != 5 else None)), 0), r"item 5 cannot be read \(TypeError"),
        (lambda i: None if i == 5 else (number(i), 0), "item 5 is None"),
    ],
)
def test_what_goes_wrong_in_a_process_is_the_same_sentence(make: Any, said: str) -> None:
    sentences = []
    for workers in (0, 2):
        with pytest.raises(DataError, match=f"retain: .*{said}") as caught:
            run(retain=Items(24, make), workers=workers)
        sentences.append(str(caught.value))
    assert sentences[0] == sentences[1]
    assert "\n" not in sentences[0]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_process_that_dies_is_one_sentence() -> None:
    with pytest.raises(DataError, match="retain: a process that reads it has ended") as caught:
        run(retain=Dying(8, 24), workers=1)
    assert "workers=0" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.fixture(params=["spawn", "forkserver"])
def start_method(request: pytest.FixtureRequest) -> Iterator[str]:
    before = torch.multiprocessing.get_start_method()
    torch.multiprocessing.set_start_method(request.param, force=True)
    yield request.param
    torch.multiprocessing.set_start_method(before, force=True)


@pytest.mark.slow
def test_processes_that_are_not_forked_give_the_same(start_method: str) -> None:
    noisy = {"retain": Noisy(8, 24), "forget": Noisy(0, 8)}
    found = [run("ft", **noisy, workers=n, epochs=3).model.state_dict() for n in (0, 1)]
    assert same_bits(*found)


class Holding(Numbered):
    """Holds what only a starting process can be given."""

    def __init__(self, start: int, n: int) -> None:
        super().__init__(start, n)
        self.seen = torch.multiprocessing.get_context("spawn").Value("i", 0)


def test_what_cannot_be_sent_is_refused_before_anything_starts(start_method: str) -> None:
    local = Items(24, lambda i: (number(i), i % K))
    for name in SETS:
        with pytest.raises(DataError, match=f"{name}: cannot be sent .*lambda") as caught:
            run(**{name: local}, workers=1)
        assert "use workers=0" in str(caught.value)
        assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match=r"(retain|forget): cannot be sent"):
        run(collate_fn=lambda items: items, workers=1)
    assert local.read == 0


def test_what_only_a_starting_process_takes_is_not_refused_before() -> None:
    from ugradsl_core.samples.reading import Source
    from ugradsl_core.samples.workers import check_picklable

    check_picklable(Source("retain", Holding(0, 8)))
