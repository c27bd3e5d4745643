"""What the bridge refuses and why, what checkpoints may hold, and what it leaves alone."""

import os
import random
import signal
import tempfile
from pathlib import Path

import anomalib.models
import numpy as np
import pytest
import timm
import torch
from segad_anomalib import models
from segad_anomalib.detector import Anomalib

from segad_core.api import PluginError, Run
from segad_core.testing import ArrayImageSet, bad_images, good_images, image_batch

SIZE = (32, 48)
PADIM = {"backbone": "resnet18", "layers": ["layer1"], "n_features": 4, "pre_trained": False}
RANDOM = {"backbone": "resnet18", "pre_trained": False}
STFPM = {"backbone": "resnet18", "layers": ["layer1"]}


def detector(model="Padim", options=PADIM, **params):
    return Anomalib(Anomalib.Params(model=model, options=options, batch_size=3, **params))


def fitted(*args, run=None, **params):
    found = detector(*args, **params)
    found.fit(ArrayImageSet(good_images(6, *SIZE)), run or Run(np.random.SeedSequence(1)))
    return found


def refusal(found, size=SIZE):
    with pytest.raises(PluginError) as caught:
        found.check(size, {})
    return str(caught.value)


def maps_of(found):
    return found.anomaly_maps(image_batch(good_images(2, *SIZE, seed=4)))


def test_unknown_names_are_told_with_the_nearest_one():
    assert "'Padim'" in refusal(detector("Padm"))
    assert "'backbone'" in refusal(detector(options={"backbon": "resnet18"}))
    assert "nosuchnet" in refusal(detector(options={**PADIM, "backbone": "nosuchnet"}))


@pytest.mark.parametrize("name", models.REFUSED)
def test_models_that_cannot_be_detectors_are_refused_with_the_reason(name):
    assert name in anomalib.models.__all__
    message = refusal(detector(name, {}))
    assert models.REFUSED[name] in message and "Padim" in message


@pytest.mark.parametrize("name", models.COMPONENTS)
def test_what_the_bridge_decides_is_no_option(name):
    assert f"options.{name}" in refusal(detector(options={**PADIM, name: True}))


def test_epochs_that_the_model_fixes_or_lacks():
    assert "1 epoch, not 7" in refusal(detector(epochs=7))
    assert "Set `epochs`" in refusal(detector("Stfpm", STFPM))


def test_another_release_of_anomalib_is_refused(monkeypatch):
    monkeypatch.setattr(anomalib, "__version__", "2.70.0")
    assert "2.70.0" in refusal(detector())


def test_models_without_maps_are_told(monkeypatch):
    monkeypatch.delitem(models.REFUSED, "Dfkde")
    with pytest.raises(PluginError, match="Dfkde with these options gives no anomaly map"):
        fitted("Dfkde", {**RANDOM, "n_pca_components": 2})


def test_what_anomalib_raises_is_told_with_the_size():
    with pytest.raises(PluginError, match="InpFormer cannot be trained on images of 32 x 48"):
        fitted("InpFormer", {"encoder_name": "vit_small_patch14_reg4_dinov2"}, epochs=1)


def test_restored_networks_need_no_published_weights(monkeypatch):
    asked, create = [], timm.create_model

    def spy(*args, **kwargs):
        asked.append(kwargs["pretrained"])
        return create(*args, **kwargs)

    monkeypatch.setattr(timm, "create_model", spy)
    learnt = fitted("Stfpm", STFPM, epochs=1)
    assert True in asked  # the teacher, while it is trained
    asked.clear()
    again = detector("Stfpm", STFPM, epochs=1)
    again.restore(learnt.state())
    assert set(asked) == {False}
    np.testing.assert_array_equal(maps_of(again), maps_of(learnt))


def test_states_of_other_parameters_are_refused():
    state = fitted().state()
    with pytest.raises(PluginError, match="n_features"):
        detector(options={**PADIM, "n_features": 5}).restore(state)
    with pytest.raises(PluginError, match="settings"):
        detector().restore({**state, "settings": np.frombuffer(b"{}", np.uint8)})


@pytest.mark.parametrize(
    ("given", "told"),
    [({}, "n_features"), ({**PADIM, "n_features": None}, "n_features"), ({"backbone": "resnet18"}, "layer1")],
)
def test_options_that_the_recipe_leaves_out_are_compared(given, told):
    """The state of other options would be the result of this recipe."""
    with pytest.raises(PluginError, match=told):
        detector(options=given).restore(fitted().state())


def test_scores_are_those_of_the_model_that_is_asked():
    """After another fit or `restore`, and where two models score one batch in turn."""
    batch, one, two = image_batch(good_images(2, *SIZE, seed=4)), fitted(), detector()
    two.fit(ArrayImageSet(bad_images(6, *SIZE)), Run(np.random.SeedSequence(2)))
    states = one.state(), two.state()
    expected = []
    for state in states:
        fresh = detector()
        fresh.restore(state)
        alone = image_batch(batch.pixels)
        expected.append(fresh.image_scores(alone, fresh.anomaly_maps(alone)))
    assert not np.allclose(*expected)
    maps = [one.anomaly_maps(batch), two.anomaly_maps(batch)]
    for model, of, scores in zip((one, two), maps, expected, strict=True):
        np.testing.assert_array_equal(model.image_scores(batch, of), scores)
    one.restore(states[1])
    np.testing.assert_array_equal(one.image_scores(batch, maps[0]), expected[1])


def test_maps_and_scores_take_one_pass(monkeypatch):
    found, batch, passes = fitted(), image_batch(good_images(2, *SIZE, seed=4)), []
    infer = type(found._learnt).infer
    monkeypatch.setattr(type(found._learnt), "infer", lambda *args: passes.append(1) or infer(*args))
    found.image_scores(batch, found.anomaly_maps(batch))
    assert passes == [1]


def test_options_that_name_files_are_refused(tmp_path, monkeypatch):
    """What is in them would be in no key. The name of a network is none, whatever lies in the folder."""
    (tmp_path / "resnet18").mkdir()
    monkeypatch.chdir(tmp_path)
    assert "anomaly_source_path" in refusal(detector("Glass", {"anomaly_source_path": "textures"}, epochs=1))
    assert "options.backbone" in refusal(detector(options={**PADIM, "backbone": str(tmp_path)}))
    assert "options.layers" in refusal(
        detector(options={**PADIM, "layers": ["layer1", f"{tmp_path}/resnet18"]})
    )
    detector().check(SIZE, {})


def test_progress_counts_steps():
    told = []
    fitted("Stfpm", STFPM, epochs=3, run=Run(np.random.SeedSequence(1), lambda *call: told.append(call)))
    assert [call[1:3] for call in told] == [(i, 6) for i in range(1, 7)]
    assert all(call[3].startswith("loss ") for call in told)


def global_states():
    numpy = np.random.get_state()[1].tolist()  # noqa: NPY002 (must not move)
    return torch.get_rng_state().tolist(), random.getstate(), numpy


def test_nothing_is_left_behind(tmp_path, monkeypatch, capfd, caplog):
    (tmp_path / "cwd").mkdir()
    (tmp_path / "temporary").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    before = global_states()
    capfd.readouterr()
    maps_of(fitted("Stfpm", STFPM, epochs=1))
    maps_of(fitted("Patchcore", RANDOM))
    assert capfd.readouterr() == ("", "") and not caplog.records
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["cwd", "temporary"]
    assert global_states() == before


def test_ctrl_c_arrives_and_still_works_afterwards():
    def interrupt(*call):
        raise KeyboardInterrupt

    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        fitted(run=Run(np.random.SeedSequence(1), interrupt))
    assert signal.getsignal(signal.SIGINT) is handler


@pytest.fixture(scope="module")
def padim(tmp_path_factory):
    """A fitted model, and its state dict in a file of torch's, with what anomalib writes beside it."""
    learnt = fitted()
    arrays = {k: torch.from_numpy(v.copy()) for k, v in learnt.state().items() if k != "settings"}
    content = {
        "state_dict": {k.removeprefix("module."): v for k, v in arrays.items()},
        "hyper_parameters": dict(PADIM),
        "anomalib_pre_processor_config": {
            "transform": anomalib.pre_processing.utils.spec.transform_to_spec(
                learnt._learnt.module.pre_processor.transform
            )
        },
    }
    path = tmp_path_factory.mktemp("checkpoint") / "model.ckpt"
    torch.save(content, path)
    return learnt, content, path


def of_file(path, options=None):
    return fitted(options=options or {}, checkpoint=path)


def test_a_checkpoint_and_its_plain_form_give_the_same_maps(padim, tmp_path):
    learnt, _, path = padim
    suffix, content = of_file(path).plain_file(path)
    (tmp_path / f"plain{suffix}").write_bytes(content)
    for file in (path, tmp_path / "plain.safetensors"):
        np.testing.assert_array_equal(maps_of(of_file(file)), maps_of(learnt))


def test_a_state_dict_alone_needs_the_options(padim, tmp_path):
    learnt, content, _ = padim
    torch.save({"state_dict": content["state_dict"]}, tmp_path / "weights.pt")
    np.testing.assert_array_equal(maps_of(of_file(tmp_path / "weights.pt", PADIM)), maps_of(learnt))
    assert "does not match Padim" in refusal(
        detector(options={"pre_trained": False}, checkpoint=tmp_path / "weights.pt")
    )


def test_options_and_sizes_that_a_checkpoint_contradicts(padim):
    assert "n_features 4" in refusal(detector(options={"n_features": 5}, checkpoint=padim[2]))
    assert "[32, 48]" in refusal(detector(options={}, checkpoint=padim[2]), (64, 48))


class Evil:
    def __reduce__(self):
        return (Path.touch, (Path(os.environ["SEGAD_TEST_TOUCHED"]),))


def test_checkpoints_that_could_run_code_are_refused(padim, tmp_path, monkeypatch):
    touched = tmp_path / "touched"
    monkeypatch.setenv("SEGAD_TEST_TOUCHED", str(touched))
    torch.save({**padim[1], "hyper_parameters": {"pre_processor": Evil()}}, tmp_path / "evil.ckpt")
    torch.save(Evil(), tmp_path / "evil.pth", _use_new_zipfile_serialization=False)
    for name in ("evil.ckpt", "evil.pth"):
        message = refusal(detector(options={}, checkpoint=tmp_path / name))
        assert name in message and "torch.save" in message
    assert not touched.exists()
