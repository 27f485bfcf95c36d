"""The time that is left, from a log.

Oracle: sums by hand.
"""

from __future__ import annotations

from theodolite.surveys import eta


def test_the_time_left_is_the_units_left_by_their_seconds_over_the_workers():
    # kills: seconds by measure instead of group, workers forgotten, an unknown group taken as
    # free, one unit divided among several workers
    log = [
        {"event": "plan", "workers": 4, "passes": {"a": 2.0, "b": 8.0}},
        {"event": "unit", "group": "a", "unit": 0, "seconds": 1.0},
        {"event": "unit", "group": "a", "unit": 1, "seconds": 3.0},
    ]
    assert eta.seconds_left({"a": 6, "b": 0}, eta.pace(log)) == 6 * 2.0 / 4
    assert eta.seconds_left({"a": 0, "b": 5}, eta.pace(log)) == 5 * 8.0 * (4.0 / 4.0) / 4
    assert eta.seconds_left({"a": 1, "b": 1}, eta.pace(log)) == 8.0  # the longest is one worker's
    assert eta.seconds_left({"c": 1}, eta.pace(log)) is None
    assert eta.seconds_left({"a": 1}, eta.pace([])) is None


def test_a_timed_pass_goes_before_the_seconds_of_a_first_short_unit():
    # kills: hours foretold from what the first unit of one pass had to load
    log = [
        {"event": "plan", "workers": 1, "passes": {"start": 1.0, "b": 800.0}, "per_pass": 0.01},
        {"event": "unit", "group": "start", "unit": 0, "seconds": 2.0},
    ]
    assert eta.seconds_left({"b": 3}, eta.pace(log)) == 24.0
    assert eta.seconds_left({"start": 1}, eta.pace(log)) == 2.0  # what a unit took is known
