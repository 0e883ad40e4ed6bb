"""Whether a loss has come down: synthetic curves, with noise of several seeds."""

import math

import numpy as np
import pytest

from minidl.cli.train.looking.progress import Progress

CHANCE = math.log(10)


def noise(seed, count, size):
    return np.random.default_rng(seed).normal(0, size, count)


def judged(losses, per_epoch=8, **about):
    """The epochs at whose ends a run is said to make no progress; every loss is asked for."""
    progress, said = Progress(**about), []
    for i, loss in enumerate(losses):
        progress.see(float(loss))
        if progress.stalled(i // per_epoch):
            said.append(i // per_epoch)
    return said


STALLED = {
    "guessing": lambda s: CHANCE + noise(s, 80, 0.05),
    "guessing after a bad start": lambda s: np.r_[[40, 9], CHANCE + noise(s, 78, 0.05)],
    "worse and worse": lambda s: CHANCE + np.linspace(0, 3, 80) + noise(s, 80, 0.1),
    "jumping": lambda s: CHANCE + 2 * np.abs(noise(s, 80, 1)),
    "all alike": lambda s: np.full(80, CHANCE),
    "with single lucky batches": lambda s: np.where(
        np.arange(80) % 13 == 5, 0.2, CHANCE + noise(s, 80, 0.05)
    ),
}
LEARNING = {
    "at once": lambda s: np.r_[CHANCE, 0.1 + np.abs(noise(s, 79, 0.05))],
    "as usual": lambda s: CHANCE * np.exp(-np.arange(80) / 15) + 0.1 + np.abs(noise(s, 80, 0.1)),
    "slowly": lambda s: CHANCE - np.arange(80) * 0.003 + noise(s, 80, 0.01),
    "slowly and noisily": lambda s: CHANCE - np.arange(80) * 0.006 + noise(s, 80, 0.06),
    "then no further": lambda s: np.r_[np.linspace(CHANCE, 1, 12), 1 + noise(s, 68, 0.05)],
    "then back up": lambda s: np.r_[np.linspace(CHANCE, 1, 20), np.linspace(1, 3, 60)],
    "from weights that know": lambda s: 0.5 + noise(s, 80, 0.05),
}


@pytest.mark.parametrize("curve", STALLED.values(), ids=STALLED)
def test_a_run_without_progress_is_noticed_but_not_in_its_first_epochs(curve):
    said = [judged(curve(seed), guessing=CHANCE) for seed in range(40)]
    assert all(min(epochs) >= 3 for epochs in said if epochs)
    assert sum(map(bool, said)) >= 38  # noise may look like a slow fall all the way


@pytest.mark.parametrize("curve", LEARNING.values(), ids=LEARNING)
def test_a_run_that_learns_is_left_alone(curve):
    for seed in range(40):
        assert judged(curve(seed), guessing=CHANCE, untrained=False) == []


def test_without_classes_the_first_loss_is_what_counts():
    for seed in range(20):
        still = np.r_[5, 5 + noise(seed, 80, 0.1)]
        assert judged(still)
        assert judged(np.r_[5, 4.2 + noise(seed, 80, 0.1)]) == []
        # of weights that were trained before, the first loss says nothing
        assert judged(still, untrained=False) == []


def test_a_few_losses_are_no_curve():
    assert judged(np.full(23, CHANCE), per_epoch=2, guessing=CHANCE) == []
    assert judged(np.full(24, CHANCE), per_epoch=2, guessing=CHANCE)


def test_it_is_said_in_words():
    progress = Progress(guessing=CHANCE)
    for loss in np.full(30, 2.31):
        progress.see(loss)
    assert progress.stalled(4)
    text = progress.words(4)
    assert text.startswith("the loss has not come down in 4 epochs: it began at 2.31, and its best")
    assert "(guessing gives 2.303)" in text and "Another rate may help" in text
