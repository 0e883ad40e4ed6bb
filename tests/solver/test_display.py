"""What is shown of an iteration, and looked at for it."""

import numpy as np
import pytest

from minidl.errors import DivergedError
from tests.places import on
from tests.solver.support import diary, make

pytestmark = on("cpu", "cuda:0", "cuda:0/numpy")


def test_display_has_what_watchers_need():
    solver, notes = diary("display: 2 iter_size: 3")
    solver.step(5)
    first, second, third = (e[2] for e in notes.events if e[0] == "display")
    assert (second["iter"], second["iterations"]) == (2, 2)
    assert second["images"] == 2 * 3 * 6
    assert second["seconds"] > 0
    assert second["lr"] == pytest.approx(0.1 * (1 + 0.1 * 2) ** -0.75)
    assert second["outputs"] == {"loss": pytest.approx(second["outputs"]["loss"])}
    assert second["loss_weights"] == {"loss": 1.0}
    assert first["images"] == 0
    assert (third["iter"], third["iterations"], third["images"]) == (4, 2, 2 * 3 * 6)


def test_weights_that_are_lost_below_a_relu_are_noticed_when_the_loss_is_shown():
    """oneDNN's ReLU makes 0 of NaN: the loss stays finite."""
    solver = make("display: 2")
    solver.step(3)
    param = solver.net.params["ip1"][0]
    param.data[0, 0] = np.nan
    solver.net.forward_pass = solver.net.training_pass = lambda: 1.0
    solver.net.backward_pass = lambda: None
    with pytest.raises(DivergedError, match="weights of 'ip1/0' are not finite"):
        solver.step(2)
