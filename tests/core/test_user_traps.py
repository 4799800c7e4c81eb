"""What users' own models and data do that ours do not."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset, Subset, TensorDataset

from companion.experiments.records import summary
from companion.experiments.runs.problems import load_data
from companion.experiments.settings.preset import preset_config
from companion.experiments.settings.setting import Setting
from companion.notebooks.parameters import PaperAudit, RandomForgetting
from records import record
from toys import CNN, SIDE, K
from ugradsl_core import evaluate, unlearn
from ugradsl_core.errors import ConfigError, DataError
from ugradsl_core.metrics import accuracy, mia
from ugradsl_core.training import Execution

SMALL: dict[str, Any] = {"epochs": 2, "batch_size": 8, "lr": 0.05}


def pictures(n: int, dtype: torch.dtype = torch.int64) -> TensorDataset:
    generator = torch.Generator().manual_seed(n)
    return TensorDataset(
        torch.rand(n, 1, SIDE, SIDE, generator=generator), (torch.arange(n) % K).to(dtype)
    )


class Viewing(nn.Module):
    """Flattens with view, which needs contiguous features."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(1, 3, 3, padding=1)
        self.head = nn.Linear(3 * SIDE * SIDE, K)

    def forward(self, x: Tensor) -> Tensor:
        x = self.convolution(x)
        return self.head(x.view(x.size(0), -1))


class Counting(Dataset):
    """Counts the items that are made; holds no labels."""

    def __init__(self, n: int) -> None:
        self.data, self.made = pictures(n), 0

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        self.made += 1
        x, y = self.data[index]
        return x, int(y)


@pytest.mark.parametrize("method", ["ft", "ugradsl"])
def test_a_model_that_flattens_with_view_works(method: str) -> None:
    whole = pictures(24)
    parts = Subset(whole, range(16)), Subset(whole, range(16, 24))
    assert unlearn(method, Viewing(), retain=parts[0], forget=parts[1], **SMALL).seconds > 0


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32])
def test_labels_of_any_integer_type_work(dtype: torch.dtype) -> None:
    whole = pictures(24, dtype)
    parts = Subset(whole, range(16)), Subset(whole, range(16, 24))
    unlearn("ugradsl", CNN(), retain=parts[0], forget=parts[1], **SMALL)


def test_only_the_chosen_items_of_a_large_data_set_are_visited() -> None:
    whole = Counting(500)
    parts = Subset(whole, range(10)), Subset(whole, range(10, 20))
    unlearn("ft", CNN(), retain=parts[0], forget=parts[1], epochs=0)
    assert whole.made <= 22  # each label once, and one probe of each set


def test_frozen_layers_keep_their_statistics() -> None:
    model = CNN()
    model.features.requires_grad_(False)
    before = {name: value.clone() for name, value in model.features.state_dict().items()}
    whole = pictures(24)
    parts = Subset(whole, range(16)), Subset(whole, range(16, 24))
    for method in ("ft", "ga", "ugradsl", "retrain"):
        found = unlearn(method, model, retain=parts[0], forget=parts[1], **SMALL).model
        for name, value in found.features.state_dict().items():
            assert torch.equal(value, before[name]), (method, name)


def test_make_model_is_for_retrain_alone() -> None:
    model = CNN()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    whole = pictures(24)
    parts = Subset(whole, range(16)), Subset(whole, range(16, 24))
    unlearn("ft", model, retain=parts[0], forget=parts[1], make_model=lambda: model, **SMALL)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_test_set_of_another_shape_is_refused_by_name() -> None:
    whole = pictures(24)
    wrong = TensorDataset(torch.rand(8, 3, SIDE, SIDE), torch.arange(8) % K)
    with pytest.raises(ValueError, match="cannot process an item of test"):
        evaluate(CNN(), retain=Subset(whole, range(16)), forget=Subset(whole, [20]), test=wrong)


def test_augmentation_of_ones_own_data_is_refused() -> None:
    whole = pictures(24)
    parts = Subset(whole, range(16)), Subset(whole, range(16, 24))
    with pytest.raises(ConfigError, match="augment in the data set"):
        unlearn("ft", CNN(), retain=parts[0], forget=parts[1], augment="flip")


def test_an_unusable_device_is_one_sentence() -> None:
    with pytest.raises(ConfigError, match="device: 'gpu' cannot be used here"):
        Execution(device="gpu").resolve()


@pytest.mark.parametrize(
    "given",
    [
        {"device": None},
        {"device": "meta"},
        {"accumulate": "2"},
        {"accumulate": 2.0},
        {"amp": "yes"},
        {"compile": 1},
        {"channels_last": None},
    ],
)
def test_switches_of_another_type_are_refused_by_name(given: dict[str, Any]) -> None:
    (name,) = given
    with pytest.raises(ConfigError, match=f"^{name}: ") as caught:
        Execution(**given).resolve()
    assert "\n" not in str(caught.value)


def test_metrics_check_what_they_are_given() -> None:
    logits, labels = torch.randn(6, K, requires_grad=True), torch.arange(6) % K
    assert 0 <= accuracy(logits, labels) <= 100
    with pytest.raises(DataError, match=r"needs logits \(N, K\) and labels \(N,\)"):
        accuracy(logits, labels[:, None])
    with pytest.raises(DataError, match="labels should lie in"):
        mia(logits, labels, logits, labels + K, logits, labels)
    with pytest.raises(ConfigError, match="solver"):
        mia(logits, labels, logits, labels, logits, labels, solver="svm")  # type: ignore[arg-type]


def test_all_of_a_data_set_can_be_the_training_set() -> None:
    loaded = load_data(Setting(dataset="digits"), Execution("cpu"))
    assert len(loaded.train) == 1348
    assert len(loaded.validation) == 0


def test_a_method_without_a_preset_trains_as_the_setting_does() -> None:
    config = preset_config("ugradsl:adaptive-inverse", "cifar10-class", "bench")
    assert (config.batch_size, config.augment) == (128, "flip")


def test_one_seed_may_come_as_a_number() -> None:
    assert RandomForgetting(seeds=3).seeds == "3"
    assert RandomForgetting(seeds=[0, 1]).seeds == "0,1"
    assert RandomForgetting(methods=["retrain", "ft"]).methods == "retrain,ft"
    assert PaperAudit(tables=[1, 3]).numbers == (1, 3)
    for wrong in ([], [0, 0], [0.5], [True], True, {"a": 1}):
        with pytest.raises(ConfigError, match="seeds: "):
            RandomForgetting(seeds=wrong)
    with pytest.raises(ConfigError, match="seeds: should be different"):
        RandomForgetting(seeds="0,0")


def test_tables_refuse_trials_and_repeated_seeds() -> None:
    one = record("ga", 0, *[50.0] * 4)
    with pytest.raises(DataError, match="trials of a search"):
        summary.one_setting([record("ga", 0, *[50.0] * 4, kind="trial")])
    with pytest.raises(DataError, match="several of one method and seed"):
        summary.one_setting([one, one])
