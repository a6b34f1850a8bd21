"""The development workloads: the same for a seed, keys numbered as they come, each broken as it says."""

from collections import Counter

import numpy as np
import pytest
import workloads


@pytest.fixture(scope="module")
def synthetic():
    return {workload.name: workload for workload in workloads.synthetic()}


def halves(workload):
    return np.array_split(workload.keys, 2)


def test_keys_are_numbered_in_the_order_of_their_first_request(synthetic):
    assert workloads._dense(np.array([7, 3, 7, 9, 3])).tolist() == [0, 1, 0, 2, 1]
    for workload in synthetic.values():
        if "paper" not in workload.name:
            _, first = np.unique(workload.keys, return_index=True)
            assert np.all(np.diff(first) > 0)
        assert workload.distinct == len(np.unique(workload.keys))


def test_costs_are_positive_and_one_for_each_request(synthetic):
    for workload in synthetic.values():
        assert workload.costs.shape == workload.keys.shape
        assert np.all(workload.costs > 0)
        assert np.all(np.isfinite(workload.costs))


def test_a_key_costs_the_same_each_time_but_where_the_costs_are_noisy(synthetic):
    for workload in synthetic.values():
        spread = np.zeros(workload.distinct)
        np.maximum.at(spread, workload.keys, workload.costs)
        varies = bool(np.any(workload.costs < spread[workload.keys]))
        assert varies == ("noise" in workload.name or "paper" in workload.name)


def test_a_seed_draws_the_same_streams_and_another_others(synthetic):
    for again, other in zip(workloads.synthetic(), workloads.synthetic(seed=1), strict=True):
        first = synthetic[again.name]
        assert np.array_equal(first.keys, again.keys)
        assert np.array_equal(first.costs, again.costs)
        assert not np.array_equal(first.costs, other.costs)


def test_what_drifts_is_another_set_of_keys_in_its_second_half(synthetic):
    def kept(name):
        """Of the 100 keys asked most in the first half, those among them in the second."""
        before, after = (
            {key for key, _ in Counter(half.tolist()).most_common(100)}
            for half in halves(synthetic[name])
        )
        return len(before & after)

    assert kept("zipf 0.8") > 70
    assert kept("drift: ranks swapped") < 50
    assert kept("drift: abrupt") < 20
    assert kept("drift: keys churn") == 0


@pytest.mark.parametrize("share", [0.3, 0.6])
def test_one_hit_wonders_are_that_share_of_the_requests(synthetic, share):
    counts = np.bincount(synthetic[f"one-hit wonders {share}"].keys)
    once = np.sum(counts == 1) / workloads.REQUESTS
    assert share - 0.01 < once < share + 0.05  # some of the 10,000 others come once too


def test_a_scan_is_5000_keys_in_a_row_and_the_next_scan_the_same(synthetic):
    keys = synthetic["one-hit wonders 0.3 + scans"].keys
    scans = [keys[start : start + 5_000] for start in range(20_000, 200_000, 40_000)]
    assert np.all(np.diff(scans[0]) == 1)
    assert all(np.array_equal(scan, scans[0]) for scan in scans)


def test_the_papers_streams_have_twenty_queries_and_ten_thousand_requests(synthetic):
    for alpha in (0.5, 0.8):
        for ratio in (1.5, 100):
            workload = synthetic[f"paper α {alpha}, ratio {ratio:g}"]
            assert (len(workload.keys), workload.distinct) == (10_000, 20)
            assert workload.costs.min() >= 0.1


def test_the_real_traces_come_in_order_of_length_with_costs_of_mean_one_where_drawn():
    folder = workloads.data()
    if folder is None:
        pytest.skip("CACHEMUX_DATA names no folder of traces")
    found = []
    for workload in workloads.real(folder):
        found.append(workload)
        if len(workload.keys) > 50_000:
            break
    assert [w.name for w in found] == ["sparql", "apache", "bing", "web07"]
    lengths = [len(w.keys) for w in found]
    assert lengths == sorted(lengths)
    drawn = np.concatenate([w.costs for w in found if w.name != "apache"])
    assert 0.5 < drawn.mean() < 2
