from spavl.audit.losses import losing_groups


def counts(is_lost) -> dict[str, tuple[int, int]]:
    """Six domains of twenty images, four models' rows each: per group, images that lost half of its rows or more, images."""
    images = [(d, i) for d in range(6) for i in range(20)]
    lost = {(d, i): [is_lost(d, i, m) for m in range(4)] for d, i in images}
    found = {f"domain=d{d}": (sum(sum(lost[d, i]) >= 2 for i in range(20)), 20) for d in range(6)}
    return found | {f"model=m{m}": (sum(of_image[m] for of_image in lost.values()), 120) for m in range(4)}


def test_a_domain_that_lost_everything_is_named_though_the_mean_is_small():
    found = losing_groups(counts(lambda d, i, m: d == 2))
    assert [(group.name, group.num_hits, group.num_units) for group in found] == [("domain=d2", 20, 20)]


def test_a_model_that_lost_half_of_its_rows_is_named():
    assert [group.name for group in losing_groups(counts(lambda d, i, m: m == 1 and i % 2 == 0))] == [
        "model=m1"
    ]


def test_even_losses_name_nobody():
    assert losing_groups(counts(lambda d, i, m: (i + m) % 5 == 0)) == []
    assert losing_groups({}) == []
