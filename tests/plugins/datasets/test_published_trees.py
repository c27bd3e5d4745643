"""The trees that tests take for the published data sets: no image twice, the counts that were asked for."""

from collections import Counter

import pytest
from published_trees import mvtec_tree, vad_tree, visa_prepared_tree, visa_tree

from segad_core.images import decode
from segad_core.images.folder import image_files
from segad_plugins.datasets.vad import Vad


@pytest.mark.parametrize("make", [vad_tree, visa_tree, visa_prepared_tree, mvtec_tree])
def test_no_image_is_there_twice_and_every_run_writes_the_same(make, tmp_path) -> None:
    trees = [make(tmp_path / name, scale=0.02) for name in ("a", "b")]
    files = [{p.relative_to(tree): p.read_bytes() for p in image_files(tree)} for tree in trees]
    assert files[0] == files[1]
    images = [p for p in image_files(trees[0]) if not {"Masks", "ground_truth"}.intersection(p.parts)]
    assert len({decode(p).pixels.tobytes() for p in images}) == len(images) > 50


def test_bad_images_have_a_bright_spot(tmp_path) -> None:
    for sample in Vad(Vad.Params(root=vad_tree(tmp_path, scale=0.005))).samples("vad"):
        assert (decode(sample.path).pixels == 250).any() == bool(sample.label)


def test_scale_and_counts_say_how_many(tmp_path) -> None:
    tree = vad_tree(tmp_path, scale=0.01, counts={"test good": 7}, side=24)
    samples = Vad(Vad.Params(root=tree)).samples("vad")
    wanted = {"train good": 20, "train bad": 10, "test good": 7, "test bad": 9, "test bad, unseen": 2}
    assert Counter(s.stratum for s in samples) == wanted
    assert decode(samples[0].path).pixels.shape == (24, 24, 3)
    assert {len(names) for names in Vad(Vad.Params(root=tree)).bad_subsets("vad").values()} == {2}
