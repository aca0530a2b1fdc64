from spavl.audit.losses import Row, losing_groups


def rows(is_lost) -> list[Row]:
    """Six domains of twenty images, four models' rows each."""
    return [
        Row(f"d{d}i{i}", (f"domain=d{d}", f"model=m{m}"), is_lost(d, i, m))
        for d in range(6)
        for i in range(20)
        for m in range(4)
    ]


def test_a_domain_that_lost_everything_is_named_though_the_mean_is_small():
    found = losing_groups(rows(lambda d, i, m: d == 2))
    assert [(group.name, group.num_hits, group.num_units) for group in found] == [("domain=d2", 20, 20)]


def test_a_model_that_lost_half_of_its_rows_is_named():
    assert [group.name for group in losing_groups(rows(lambda d, i, m: m == 1 and i % 2 == 0))] == [
        "model=m1"
    ]


def test_even_losses_name_nobody():
    assert losing_groups(rows(lambda d, i, m: (i + m) % 5 == 0)) == []
    assert losing_groups([]) == []
