"""Each clause of the final-classifier suite fails for a plugin that violates it, and passes sound ones."""

import numpy as np
import pytest
from pickles import keeping_a_pickle

from segad_core import contracts
from segad_core.errors import PluginError
from segad_core.testing import FinalClassifierSuite


class Final(contracts.FinalClassifier):
    """A step from the mean of the good to the mean of the bad."""

    step = None

    def fit(self, features, names, labels, run):
        good, bad = features[labels == 0], features[labels == 1]
        if not len(good) or not len(bad):
            raise PluginError("needs good and bad")
        self.step = self.changed(bad.mean(axis=0) - good.mean(axis=0), features)
        self.middle = -(self.step @ (bad.mean(axis=0) + good.mean(axis=0))) / 2

    def changed(self, step, features):
        return step

    def contributions(self, features):
        return np.column_stack([features * self.step, np.full(len(features), self.middle)])

    def margins(self, features):
        if self.step is None:
            raise PluginError("not fitted yet")
        return self.contributions(features).sum(axis=1)

    def state(self):
        if self.step is None:
            raise PluginError("not fitted yet")
        return {"step": np.append(self.step, self.middle)}

    def restore(self, state):
        if "step" not in state:
            raise PluginError("an entry is missing")
        *step, self.middle = state["step"]
        self.step = np.array(step)


def final(**methods):
    return type("Broken", (Final,), {"__doc__": "A classifier that breaks its contract.", **methods})


def moved(self, features):
    parts = Final.contributions(self, features)
    return (
        parts + features.mean() * np.eye(1, parts.shape[1]) - features.mean() * np.eye(1, parts.shape[1], 1)
    )


def squashed(self, features):
    return 1 / (1 + np.exp(-np.clip(Final.margins(self, features), -700, 700)))


def unseeded(self, step, features):
    return step * np.random.default_rng().uniform(1, 2)


def inverted(self, step, features):
    scatter = np.cov(features.T)
    if np.linalg.cond(scatter) > 1e12:
        raise np.linalg.LinAlgError("singular")
    return np.linalg.solve(scatter, step)


def ranked(self, features):
    return Final.margins(self, features) / np.abs(features).max()


def centred(self, features):
    features -= features.mean()
    return Final.margins(self, features)


def careless_fit(self, features, names, labels, run):
    Final.fit(self, np.vstack([features, features]), names, np.append(labels, 1 - labels), run)


def bare_list(self):
    return {"step": Final.state(self)["step"].tolist()}


def seeding_fit(self, features, names, labels, run):
    np.random.seed(3)  # noqa: NPY002
    Final.fit(self, features, names, labels, run)


def growing_fit(self, features, names, labels, run):
    before = self.step
    Final.fit(self, features, names, labels, run)
    self.step = self.step if before is None else self.step + before


def silent(self, features):
    return None


def silent_once_restored(self, state):
    Final.restore(self, state)
    self.contributions = lambda features: None
    self.margins = lambda features: features @ self.step + self.middle


def restores_anything(self, state):
    *step, self.middle = state.get("step", np.zeros(7))
    self.step = np.array(step)


def two_arrays(self):
    return {**Final.state(self), "more": np.ones(1)}


def objects(self):
    return {"step": np.array(Final.state(self)["step"], object)}


def without_reasons(self, features):
    if self.step is None:
        raise PluginError("not fitted yet")
    return (features * self.step).sum(axis=1) + self.middle


SUM = "test_contributions_add_up_to_the_margins"
ROWS = "test_rows_do_not_depend_on_each_other"
EASY = "test_separates_an_easy_set"
EXACT = "test_state_restores_exactly"
FIT = "test_fit_is_deterministic"
UNFITTED = "test_use_before_fit_is_refused"
GLOBAL = "test_fit_leaves_global_randomness_alone"
SECOND = "test_a_second_fit_forgets_the_first"
LACKS = "test_restore_refuses_what_is_incomplete"


@pytest.mark.parametrize(
    ("plugin", "expected"),
    [
        (Final, ""),
        (final(contributions=silent, margins=without_reasons), ""),
        (keeping_a_pickle(Final), EXACT),
        (final(restore=silent_once_restored), EXACT),
        (final(fit=seeding_fit), GLOBAL),
        (final(fit=growing_fit), SECOND),
        (final(restore=restores_anything), LACKS),
        (final(state=two_arrays), LACKS),
        (final(state=objects), EXACT),
        (final(margins=squashed), SUM),
        (
            final(margins=lambda self, f: Final.margins(self, f).astype(np.float32)),
            "test_margins_are_finite_float64 test_more_features_than_images_is_fine",
        ),
        (final(contributions=lambda self, f: Final.contributions(self, f)[:, :-1] + 1.0), SUM),
        (final(contributions=moved), ROWS),
        (final(changed=lambda self, step, features: -step), EASY),
        (final(changed=unseeded), f"{FIT} {GLOBAL} {SECOND}"),
        (final(changed=inverted), "test_more_features_than_images_is_fine"),
        (final(margins=ranked), f"{SUM} {ROWS}"),
        (final(margins=centred), "test_leaves_the_features_as_they_are"),
        (final(fit=careless_fit), EASY),
        (final(state=bare_list), EXACT),
        (
            final(
                restore=lambda self, state: Final.restore(
                    self, {name: array * 0 for name, array in state.items()}
                )
            ),
            EXACT,
        ),
        (final(margins=lambda self, features: features @ self.step + self.middle), UNFITTED),
    ],
)
def test_final_classifier(check, plugin, expected):
    check(FinalClassifierSuite, plugin, expected)
