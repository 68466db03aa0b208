from collections import Counter

from sista.transfer.shares import head_seed


def test_no_two_runs_share_a_head_and_the_first_draw_is_of_the_seed_itself() -> None:
    seeds = Counter(head_seed(seed, draw) for seed in range(50) for draw in range(20))
    assert max(seeds.values()) == 1
    assert [head_seed(seed, 0) for seed in range(5)] == list(range(5))
    assert max(seeds) < 2**31
    assert head_seed(3, 1) == head_seed(3, 1)
