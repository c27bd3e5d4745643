"""What numbers of images can tell, in words."""

import pytest

from segad_core.evaluate.knowable import is_few, knowable


def test_two_and_two() -> None:
    text = knowable(2, 2)
    assert "interval of AUROC is at least 61.4 points wide (38.6 to 100 if it is perfect)" in text
    assert "FPR@95TPR rests on the lowest bad image and has no upper bound, which takes 86 bad images" in text
    assert text.endswith("one good image changes the rate of false rejects by 50.0 points")


def test_many() -> None:
    """5% of 156 places are 7.8: the eighth of the lowest and its neighbour decide."""
    text = knowable(147, 157)
    assert "rests on the lowest 8 bad images;" in text and "upper bound" not in text
    assert text.endswith("by 0.7 points")


def test_good_ones_alone() -> None:
    """0.05^(1/59) is 0.9505: 59 parts without a reject show a rate of 5%."""
    assert knowable(59, 0).endswith("with none rejected, up to 5.0% of all good parts may be rejected")
    assert "AUROC" not in knowable(59, 0)


def test_parts_are_called_parts() -> None:
    assert "one good part changes" in knowable(3, 3, "part") and "lowest bad part" in knowable(3, 3, "part")


@pytest.mark.parametrize(
    ("good", "bad", "few"), [(20, 20, False), (19, 99, True), (99, 19, True), (20, 0, False), (19, 0, True)]
)
def test_few(good: int, bad: int, few: bool) -> None:
    assert is_few(good, bad) == few
