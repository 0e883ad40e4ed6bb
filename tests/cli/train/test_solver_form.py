"""The solver of a new run against DIGITS' formulas, worked out by hand."""

from pathlib import Path

import pytest

from minidl import prototxt, schema
from minidl.cli import main, parser_for
from minidl.cli.train import plan, solver_form
from minidl.errors import UsageError


def solver(words, train=1000, val=300, published="", test=0):
    args = parser_for("train").read(["--net", "lenet", "--data", "d", *words.split()])
    counts = {p: n for p, n in [("train", train), ("val", val), ("test", test)] if n}
    batches = solver_form.batches(counts, args.batch_size)
    published = prototxt.read_message(published, schema.SolverParameter, "published")
    return solver_form.solver(published, Path("runs/a"), counts, batches, args)


def text(words, **options):
    return prototxt.to_text(solver(words, **options))


GOLDEN = {
    # 1000 pictures in batches of 2 * 32: ceil(15.6) = 16 iterations an epoch, 480 in all;
    # display min(16 // 8, ceil(5000 / 64)); 300 / 100 batches of a test; a step is ceil(33 * 4.8)
    "digits's own defaults": (
        "--epochs 30 --batch-size 32 --accumulate 2 --snapshot-every 1 --test-every 1"
        " --solver-type SGD --rate 0.01 --policy step:33,0.1",
        """net: "train_val.prototxt"
test_iter: 3
test_interval: 16
base_lr: 0.01
display: 2
max_iter: 480
lr_policy: "step"
gamma: 0.1
momentum: 0.9
weight_decay: 0.0001
stepsize: 159
snapshot: 16
snapshot_prefix: "runs/a/a"
random_seed: 1
iter_size: 2
type: "SGD"
""",
    ),
    # 50 iterations an epoch, 100 in all; tests each int(0.5 * 50), snapshots each int(1.5 * 50);
    # display min(50 // 8, 250); RMSProp has no momentum
    "parts of epochs": (
        "--epochs 2 --batch-size 20 --snapshot-every 1.5 --test-every 0.5 --solver-type rmsprop"
        " --rms-decay 0.98 --rate 0.002 --policy inv:0.1,0.5 --seed 7",
        """net: "train_val.prototxt"
test_iter: 3
test_interval: 25
base_lr: 0.002
display: 6
max_iter: 100
lr_policy: "inv"
gamma: 0.1
power: 0.5
momentum: 0
weight_decay: 2e-05
snapshot: 75
snapshot_prefix: "runs/a/a"
random_seed: 7
type: "RMSProp"
rms_decay: 0.98
""",
    ),
}


@pytest.mark.parametrize("words, expected", GOLDEN.values(), ids=GOLDEN)
def test_the_file_is_what_the_formulas_say(words, expected):
    found, wanted = (
        prototxt.read_message(t, schema.SolverParameter, "text") for t in (text(words), expected)
    )
    for message in (found, wanted):
        message.ClearField("minidl_origin")
    assert found == wanted


def test_no_tests_and_no_snapshots_are_zero():
    found = solver("--test-every 0 --snapshot-every 0")
    assert not found.test_iter and found.snapshot == 0 and not found.HasField("test_interval")


def test_intervals_end_with_the_training():
    found = solver("--epochs 2 --batch-size 100 --test-every 9 --snapshot-every 2")
    assert (found.max_iter, found.test_interval) == (20, 20)
    assert found.snapshot == 0  # that at the end is written anyway
    assert solver("--epochs 2 --batch-size 100 --snapshot-every 1.9").snapshot == 19
    assert solver("--batch-size 500 --snapshot-every 0.1 --test-every 0.1").snapshot == 1


def test_tests_are_on_val_or_else_on_test_or_not_at_all():
    assert list(solver("", val=300).test_iter) == [3]
    assert list(solver("", val=0, test=210).test_iter) == [3]  # of 70
    assert not solver("", val=0).test_iter


def test_without_flags_it_is_the_published_solver_for_this_many_pictures():
    found = solver("", published='base_lr: 0.3 weight_decay: 0.007 momentum: 0.8 type: "Adam"')
    assert (found.base_lr, found.momentum) == (pytest.approx(0.01), pytest.approx(0.8))
    assert (found.weight_decay, found.type) == (pytest.approx(0.007), "Adam")
    assert (found.lr_policy, found.power, found.max_iter) == ("poly", 1, 16 * 30)
    assert (found.test_interval, found.snapshot) == (16, 96)
    assert not found.HasField("iter_size") and found.random_seed == 1


def test_weight_decay_is_a_hundredth_of_the_rate_where_the_policy_is_given():
    assert solver("--rate 0.02 --policy fixed").weight_decay == pytest.approx(0.0002)
    assert solver("--rate 0.02").weight_decay == pytest.approx(0.0005)
    assert solver("--policy fixed --weight-decay 0").weight_decay == 0


def test_momentum_is_for_types_that_have_one():
    for name, expected in [("sgd", 0.9), ("AdaGrad", 0), ("RMSPROP", 0), ("adamw", 0.9)]:
        assert solver(f"--solver-type {name}").momentum == pytest.approx(expected)
    assert solver("--solver-type Nesterov --momentum 0.5").momentum == 0.5


def test_fine_tuning_takes_a_tenth_of_the_rate_unless_that_is_given():
    assert solver("--weights a.caffemodel").base_lr == pytest.approx(0.001)
    assert solver("--weights a.caffemodel --rate 0.02").base_lr == pytest.approx(0.02)


@pytest.mark.parametrize(
    "words, said",
    [
        ("--solver-type SDG", "did you mean SGD"),
        ("--rate 0", "not a number above 0"),
        ("--momentum 1", "is not below 1"),
        ("--test-every -1", "epochs, 0 or more"),
        ("--policy stpe", "did you mean step"),
        ("--accumulate 0", "whole number of 1"),
        ("--weight-decay nan", "0 or more"),
    ],
)
def test_what_cannot_be_is_refused(words, said):
    with pytest.raises(UsageError, match=said):
        solver(words)


# ---------------------------------------------------------------------- the preview

PREVIEW = {
    "step:33,0.1": lambda i: 0.5 * 0.1 ** (i // 33),
    "multistep:50,85,0.5": lambda i: 0.5 * 0.5 ** ((i >= 50) + (i >= 85)),
    "exp:0.95": lambda i: 0.5 * 0.95**i,
    "inv:0.1,0.5": lambda i: 0.5 * (1 + 0.1 * i) ** -0.5,
    "poly:3": lambda i: 0.5 * (1 - i / 100) ** 3,
    "sigmoid:50,0.1": lambda i: 0.5 / (1 + 2.718281828 ** (0.1 * (i - 50))),
    "fixed": lambda i: 0.5,
}


@pytest.mark.parametrize("name, formula", PREVIEW.items())
def test_the_preview_is_digits_and_the_rate_that_the_solver_will_have(name, formula):
    made = solver(f"--epochs 300 --batch-size 10 --rate 0.5 --policy {name}")
    assert made.max_iter == 30_000
    found = plan.rates(made)
    assert len(found) == 101
    # gamma is a number of 32 bits, and its power one of up to 30,000
    assert found == pytest.approx([formula(i) for i in range(101)], rel=2e-3, abs=1e-9)


def test_flags_of_the_form_need_a_net(capsys):
    for words in (["--rate", "1"], ["--mirror"], ["--crop", "0"], ["--policy", "step"], ["--plan"]):
        assert main(["train", "solver.prototxt", *words]) == 2
        assert f"{words[0]} needs --net" in capsys.readouterr().err
