import numpy as np
import pytest
import torch
from torch import Tensor, nn

from recsys.interest import SIGNALS, signal_names
from tests.training.project import config_of
from training.user_tower import CLOSE, History, Signals, UserTower

TEMPERATURE = 15.0
TYPES = ("cart", "purchase", "view")
X, Y = [1.0, 0.0], [0.0, 1.0]


def tower_of(labels: dict[str, float] | None = None, **learned: list) -> UserTower:
    tower = UserTower(TYPES, labels or {"purchase": 1.0}, TEMPERATURE)
    with torch.no_grad():
        for name, values in learned.items():
            getattr(tower, name).copy_(torch.tensor(values))
    return tower


def history_of(
    vectors: list[list[float]],
    *,
    age_days: list[float] | None = None,
    occasions: list[float] | None = None,
    kind: list[int] | None = None,
    present: list[float] | None = None,
) -> History:
    n = len(vectors)
    return History(
        torch.tensor(vectors),
        torch.tensor(age_days or [0.0] * n),
        torch.tensor(occasions or [1.0] * n),
        torch.tensor(kind or [0] * n),
        torch.tensor(present or [1.0] * n),
    )


def weights(tower: UserTower, history: History) -> list[list[float]]:
    """How much each item counts, for each label."""
    found = tower.log_weights(history).exp()
    return found.tolist()


def random_case(*shape: int, d: int = 8, seed: int = 0) -> tuple[History, Tensor, Tensor]:
    """A history (…, 6, d), ten candidates and a query."""
    generator = torch.Generator().manual_seed(seed)

    def unit(*size: int) -> Tensor:
        return nn.functional.normalize(torch.randn(*size, d, generator=generator), dim=-1)

    def numbers(most: float) -> Tensor:
        return most * torch.rand(*shape, 6, generator=generator)

    history = History(
        unit(*shape, 6), numbers(100), 1 + numbers(5).round(), numbers(2.99).long(), numbers(1).gt(0.3).float()
    )
    return history, unit(10), unit(*shape)


LEARNED = {
    "age_power": [0.5, 1.0],
    "occasions_power": [0.25, -0.5],
    "kind_weight": [[0.0, 1.0, -1.0], [0.5, 0.0, 0.25]],
    "query_gate": [1.0, -1.0],
    "query_gate_slope": [-0.5, 0.5],
}
BOTH = {"purchase": 1.0, "view": 0.25}


def test_untaught_it_is_the_soft_maximum_over_a_history_in_which_the_recent_and_the_frequent_count_more():
    history = history_of([X, Y, [-1.0, 0.0]], age_days=[0, 21, 56], occasions=[1, 9, 4], kind=[0, 1, 2])
    # Of an age of 0, 3 and 8 weeks, on 1, 9 and 4 occasions, all by the square root.
    weight = np.array([1, 3 / 2, 2 / 3])
    mean_of_exp = weight / weight.sum() @ np.exp(TEMPERATURE * np.array([1, 0, -1]))
    found = tower_of().interest(history, torch.tensor([X]))
    assert found.tolist() == [[pytest.approx(np.log(mean_of_exp) / TEMPERATURE, abs=1e-6)]]


def test_untaught_the_interest_does_not_grow_with_the_length_of_the_history():
    vectors = [X, [0.6, 0.8], Y]
    once, twice = (tower_of().interest(history_of(vectors * times), torch.tensor([[0.8, 0.6], Y])) for times in (1, 2))
    torch.testing.assert_close(once, twice)


def test_a_power_of_the_age_lowers_the_weight_of_what_was_chosen_long_ago():
    # (1 + age / a week) to the power -2: 1, 1/4 and 1/16.
    history = history_of([X, X, Y], age_days=[0, 7, 21])
    assert weights(tower_of(age_power=[2.0]), history) == [pytest.approx([16 / 21, 4 / 21, 1 / 21])]
    # An age before the moment itself, as of clocks that differ, counts as none.
    assert weights(tower_of(age_power=[2.0]), history_of([X, Y], age_days=[-3, 0])) == [pytest.approx([0.5, 0.5])]


def test_a_power_of_the_occasions_raises_the_weight_of_what_was_chosen_often():
    assert weights(tower_of(occasions_power=[0.5]), history_of([X, Y], occasions=[9, 1])) == [
        pytest.approx([0.75, 0.25])
    ]


def test_each_type_of_interaction_has_a_weight_of_its_own():
    tower = tower_of(kind_weight=[[0.0, np.log(3.0), np.log(0.5)]])
    found = weights(tower, history_of([X, Y, X], kind=[TYPES.index(name) for name in ("cart", "purchase", "view")]))
    assert found == [pytest.approx([1 / 4.5, 3 / 4.5, 0.5 / 4.5])]


def test_each_label_has_weights_of_its_own():
    tower = tower_of(BOTH, age_power=[0.0, 1.0])
    history = history_of([X, Y], age_days=[0, 7])
    assert weights(tower, history) == [pytest.approx([1 / 2, 1 / 2]), pytest.approx([2 / 3, 1 / 3])]
    found = tower.interest(history, torch.tensor([X]))
    assert found[:, 0].tolist() == pytest.approx(
        [np.log(share * np.exp(TEMPERATURE) + 1 - share) / TEMPERATURE for share in (1 / 2, 2 / 3)], abs=1e-6
    )


def test_label_share_is_the_share_of_each_label_in_the_weights_of_all():
    assert tower_of(BOTH).label_share.tolist() == pytest.approx([0.8, 0.2])


def test_a_query_starts_with_three_quarters_of_the_say_whatever_the_history():
    for length in (1, 5):
        assert tower_of().query_share(history_of([X] * length)).item() == pytest.approx(0.75)


def test_the_say_of_a_query_is_learned_and_may_fall_with_the_length_of_the_history():
    # A logit of 1 - log(1 + 3) / 2 = 1 - log 2.
    tower = tower_of(query_gate=[1.0], query_gate_slope=[-0.5])
    assert tower.query_share(history_of([X] * 3)).item() == pytest.approx(1 / (1 + 2 * np.exp(-1)))


def test_blended_is_the_share_of_the_query_of_its_cosine_and_the_rest_of_the_interest():
    query, yes, no = torch.tensor([0.6, 0.8]), torch.tensor(1.0), torch.tensor(0.0)
    history, candidates = history_of([X]), torch.tensor([X, Y])
    found = tower_of().blended(history, candidates, query, yes)
    assert found[0].tolist() == pytest.approx([0.25 * 1 + 0.75 * 0.6, 0.25 * 0 + 0.75 * 0.8], abs=1e-6)
    assert tower_of().blended(history, candidates, query, no)[0].tolist() == pytest.approx([1, 0], abs=1e-6)


def test_without_a_history_it_is_the_cosine_with_the_query():
    tower = tower_of(BOTH, **LEARNED)
    history = history_of([[0.6, 0.8]], present=[0.0])
    found = tower.blended(history, torch.tensor([X, Y]), torch.tensor([0.8, -0.6]), torch.tensor(1.0))
    assert found.tolist() == [pytest.approx([0.8, -0.6])] * 2


def test_padding_does_not_change_anything():
    tower = tower_of(BOTH, **LEARNED)
    known = {"age_days": [1, 20], "occasions": [1, 3], "kind": [0, 2]}
    padding = {"age_days": [1, 20, 0, 0], "occasions": [1, 3, 99, 0], "kind": [0, 2, 1, 0], "present": [1.0, 1, 0, 0]}
    short, long = history_of([X, Y], **known), history_of([X, Y, Y, [0.0, 0.0]], **padding)
    candidates, query = torch.tensor([X, [0.6, 0.8], Y]), torch.tensor([0.8, 0.6])
    for asked in (0.0, 1.0):
        one, other = (tower.blended(history, candidates, query, torch.tensor(asked)) for history in (short, long))
        torch.testing.assert_close(one, other)
    last = torch.tensor([1.0, 0.0])
    rest = (query, torch.tensor(1.0), candidates)
    inputs = [(*vars(short).values(), last, *rest), (*vars(long).values(), torch.tensor([1.0, 0, 0, 0]), *rest)]
    torch.testing.assert_close(*(Signals(tower)(*one) for one in inputs))


def test_a_batch_of_users_gives_what_each_gives_alone():
    tower = tower_of(BOTH, **LEARNED)
    history, candidates, query = random_case(3)
    history.present[1] = 0  # knows nothing, and asks
    asked = torch.tensor([1.0, 1.0, 0.0])
    together = tower.blended(history, candidates, query, asked)
    assert together.shape == (2, 3, 10)
    for row in range(3):
        alone = History(*(part[row] for part in vars(history).values()))
        torch.testing.assert_close(together[:, row], tower.blended(alone, candidates, query[row], asked[row]))
    own = candidates.expand(3, -1, -1)
    torch.testing.assert_close(tower.blended(history, own, query, asked), together)


def test_everything_learns_and_nobody_without_a_past_spoils_a_gradient():
    tower = tower_of(BOTH, **LEARNED)
    history, candidates, query = random_case(3)
    history.present[1] = 0
    (tower.blended(history, candidates, query, torch.tensor([1.0, 0.0, 1.0])) ** 2).sum().backward()
    for name, weight in tower.named_parameters():
        assert weight.grad is not None, name
        assert torch.isfinite(weight.grad).all(), name
        assert weight.grad.any(), name


def test_the_configured_tower_knows_every_type_and_predicts_the_labels():
    tower = UserTower.configured(config_of(temperature=7.0))
    assert (tower.types, tower.labels, tower.temperature) == (("purchase", "view"), ("purchase",), 7.0)
    assert sorted(tower.state_dict()) == sorted(name for name, _ in tower.named_parameters())


def signals(
    history: list[list[float]],
    last: list[float],
    candidate: list[float],
    query: list[float] | None = None,
    **known: list,
) -> list[float]:
    """The signals that are cosines, worked back from [0, 1]."""
    parts = vars(history_of(history, **known)).values()
    asked = (torch.tensor(query or [0.0, 0.0]), torch.tensor(float(query is not None)))
    found = Signals(tower_of())(*parts, torch.tensor(last), *asked, torch.tensor([candidate]))
    return (found[0, :4] * 2 - 1).tolist()


def test_the_signals_are_the_interest_the_nearest_the_soft_maximum_of_the_last_occasion_and_the_cosine_of_the_query():
    interest, nearest, recent, asked = signals([X, Y, [-1.0, 0.0]], [0.0, 1.0, 1.0], X, query=[0.6, 0.8])
    mean_of_exp = (np.exp(TEMPERATURE) + np.exp(0) + np.exp(-TEMPERATURE)) / 3
    assert interest == pytest.approx(0.25 * np.log(mean_of_exp) / TEMPERATURE + 0.75 * 0.6, abs=1e-6)
    assert nearest == pytest.approx(1)
    assert recent == pytest.approx(np.log((np.exp(0) + np.exp(-TEMPERATURE)) / 2) / TEMPERATURE, abs=1e-6)
    assert asked == pytest.approx(0.6)


def test_with_one_item_in_the_history_and_no_query_the_first_three_are_its_cosine():
    assert signals([[0.6, 0.8]], [1.0], X) == pytest.approx([0.6, 0.6, 0.6, -1], abs=1e-6)


def test_what_is_not_there_counts_as_the_opposite():
    assert signals([[0.6, 0.8]], [0.0], X, query=Y, present=[0.0]) == pytest.approx([0, -1, -1, 0], abs=1e-6)


def test_with_several_labels_their_interest_follows_and_the_first_is_their_mean_by_weight():
    history, candidates, query = random_case()
    parts = (*vars(history).values(), torch.ones(6), query, torch.tensor(1.0), candidates)
    found = Signals(tower_of(BOTH, **LEARNED))(*parts)
    names = signal_names(list(BOTH))
    assert found.shape == (10, len(names))
    total, purchase, view = (found[:, names.index(f"text_interest{of}")] for of in ("", "_purchase", "_view"))
    torch.testing.assert_close(total, 0.8 * purchase + 0.2 * view)
    assert (purchase - view).abs().max() > 1e-3
    cosines = found[:, [at for at, name in enumerate(names) if name != "text_close"]]
    assert ((cosines >= 0) & (cosines <= 1)).all()


def test_close_is_how_many_items_of_the_history_lie_near_to_the_candidate():
    near, far = [0.9, float(np.sqrt(1 - 0.81))], [CLOSE - 0.5, float(np.sqrt(1 - (CLOSE - 0.5) ** 2))]
    edge = [CLOSE, float(np.sqrt(1 - CLOSE**2))]
    parts = vars(history_of([near, X, far, Y, edge, X], present=[1.0, 1, 1, 1, 1, 0])).values()
    found = Signals(tower_of())(*parts, torch.ones(6), torch.zeros(2), torch.tensor(0.0), torch.tensor([X]))
    assert found[0, SIGNALS.index("text_close")].item() == pytest.approx(2.5, abs=0.01)
