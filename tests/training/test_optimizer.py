"""Parameter groups, their rates, and the average of the weights."""

from pathlib import Path

import pytest
import torch
from torch.optim.swa_utils import AveragedModel

from distilhubert_ko.recipe import Training
from distilhubert_ko.training import optimizer, schedule
from tests.support.model import new_network


def small() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 2))


def test_every_parameter_that_learns_is_in_one_group_with_its_rate_and_decay() -> None:
    network = new_network()
    network.hubert.feature_extractor.conv_layers[0].conv.weight.requires_grad = False
    decayed = {name for name, value in network.named_parameters() if value.ndim > 1}
    training = Training(learning_rate=1e-4, head_learning_rate=1e-3, weight_decay=0.01)
    groups = optimizer.parameter_groups(network, training, decayed)
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    found = [names[id(parameter)] for group in groups for parameter in group["params"]]
    learning = [name for name, parameter in network.named_parameters() if parameter.requires_grad]
    assert sorted(found) == sorted(learning)
    for group in groups:
        for parameter in group["params"]:
            name = names[id(parameter)]
            assert group["lr"] == (1e-3 if name.startswith("lm_head") else 1e-4)
            assert group["weight_decay"] == (0.01 if name in decayed else 0.0)


def test_without_a_rate_of_its_own_the_head_has_the_encoders() -> None:
    groups = optimizer.parameter_groups(new_network(), Training(learning_rate=3e-4), set())
    assert {group["lr"] for group in groups} == {3e-4}


@pytest.mark.parametrize("kind", ["cosine", "tri_stage"])
def test_both_rates_follow_the_schedule_and_the_encoders_waits_for_the_head(kind: str) -> None:
    training = Training(
        learning_rate=1e-4,
        head_learning_rate=1e-3,
        head_only_steps=5,
        lr_scheduler_type=kind,
        lr_scheduler_warmup_steps=3,
    )
    sgd = torch.optim.SGD(optimizer.parameter_groups(new_network(), training, set()))
    rates = optimizer.rate_schedule(sgd, training, 20)
    for step in range(21):
        expected = schedule.learning_rate(training, step, 20)
        encoder, _, head, _ = rates.get_last_lr()
        assert encoder == pytest.approx(0 if step < 5 else expected)
        assert head == pytest.approx(10 * expected)
        sgd.step()
        rates.step()


def test_the_average_is_that_of_torch_with_the_decay_of_each_step() -> None:
    network = small()
    average = optimizer.WeightAverage(network, 0.9)
    reference = AveragedModel(network, avg_fn=lambda mean, value, seen: mean + (value - mean) * (1 - decays[int(seen)]))
    decays = {step: min(0.9, (1 + step) / (10 + step)) for step in range(1, 201)}
    reference.n_averaged.fill_(1)  # the weights at the start count as the first, as they do here
    generator = torch.Generator().manual_seed(1)
    for _ in range(200):
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(torch.randn(parameter.shape, generator=generator))
        average.update()
        reference.update_parameters(network)
    for name, value in reference.module.state_dict().items():
        torch.testing.assert_close(average.weights[name], value)


def test_the_average_is_applied_for_a_while_and_the_weights_come_back_bit_for_bit() -> None:
    network = small()
    average = optimizer.WeightAverage(network, 0.5)
    with torch.no_grad():
        network[0].weight.add_(1)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    average.update()
    with average.applied():
        assert torch.equal(network[0].weight, average.weights["0.weight"])
        assert not torch.equal(network[0].weight, before["0.weight"])
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_a_saved_average_goes_on_where_it_was(tmp_path: Path) -> None:
    network = small()
    average, other = optimizer.WeightAverage(network, 0.99), optimizer.WeightAverage(network, 0.99)
    with torch.no_grad():
        network[1].bias.add_(2)
    average.update()
    average.save(tmp_path)
    other.load(tmp_path, 1)
    for each in (average, other):
        each.update()
    assert all(torch.equal(average.weights[name], other.weights[name]) for name in average.weights)
