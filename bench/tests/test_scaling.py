"""The measurement of how explorations scale: its table, and one small measurement."""

import pytest

from dnnzip import digits
from dnnzip.exploration.request import Options
from dnnzip_bench.scaling import Measurement, measure, scaling_table


def test_the_table_compares_with_the_first_row_of_the_same_work():
    # 20 tasks of 0.5 s: one worker needs 11 s, two need 6 s.
    table = scaling_table(
        [Measurement("a", 1, 20, 11.0, 10.0, 4.0, 0.2, 0.1), Measurement("a", 2, 20, 6.0, 10.0, 5.0, 0.3, 0.2)]
    )
    assert table.rows == (
        ("a", "1", "20", "11.00", "1.82", "1.00", "500", "50", "200", "10.0", "0.1"),
        ("a", "2", "20", "6.00", "3.33", "1.83", "500", "100", "250", "15.0", "0.2"),
    )


@pytest.mark.slow
def test_a_measurement_is_of_all_tasks():
    asked = Options(
        str(digits.MODEL), str(digits.TEST_SET), max_error=("1%", "2%"), layers=("all", "largest"), samples=1
    )
    measured = measure("small", asked, 1)
    assert (measured.workers, measured.tasks) == (1, 4)
    assert 0 < measured.inside < measured.wall
    assert 0 < measured.beside < measured.wall
    assert 0 < measured.inside_cpu < measured.wall
    assert 0 < measured.client_cpu < measured.wall
