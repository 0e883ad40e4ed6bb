"""What every registered layer keeps to, whatever it computes: the contract of layers/base.py.

A new layer type needs an entry in EXAMPLES of examples.py, and gets all these tests for it.
"""

import gc
import re
import weakref

import numpy as np
import pytest

from minidl import schema
from minidl.errors import LayerConfigError
from minidl.layers.base import REGISTRY, Buffer
from minidl.testing.gradcheck import check_backward
from minidl.testing.harness import build, make_spec
from tests.layers.examples import (
    EXAMPLES,
    NOT_RUN,
    backward,
    forward,
    forward_and_backward,
    prepare,
    seed_diffs,
    shares_diff,
    values,
    wanted,
    write,
)
from tests.layers.examples_forks import ON_HOST

TYPES = sorted(REGISTRY)
CASES = [
    pytest.param(type, shapes, keywords, id=f"{type} {label}".strip())
    for type, examples in EXAMPLES.items()
    for label, (shapes, keywords) in examples.items()
    if type in REGISTRY
]
DIFFERENTIABLE = [c for c in CASES if c.values[1] and REGISTRY[c.values[0]].differentiable]

every_type = pytest.mark.parametrize("type", TYPES)
every_case = pytest.mark.parametrize("type, shapes, keywords", CASES)
every_differentiable_case = pytest.mark.parametrize("type, shapes, keywords", DIFFERENTIABLE)


def assert_same(got, expected):
    assert got.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(got[name], array, err_msg=name)


# ------------------------------------------------------------------------------- declarations


@every_type
def test_every_type_has_an_example(type):
    assert type in EXAMPLES or type in NOT_RUN, (
        f"layer type {type} is not tested here: add an example of it (bottom shapes and "
        f"parameters) to EXAMPLES in tests/layers/examples.py"
    )


@every_case
def test_declarations_are_values_and_do_not_depend_on_when_they_are_asked(type, shapes, keywords):
    layer = build(type, **keywords)

    def declared():
        return [
            layer.top_shapes(*shapes),
            layer.param_shapes(*shapes),
            layer.buffers(*shapes),
            layer.multiply_adds(*shapes),
        ]

    first = declared()
    assert declared() == first
    tops, params, buffers, multiply_adds = first
    assert len(tops) == len(layer.spec.top)
    for shape in [*tops, *params.values(), *(b.shape for b in buffers.values())]:
        assert all(isinstance(size, int) for size in shape), f"{shape} is not made of ints"
    assert all(isinstance(b, Buffer) for b in buffers.values())
    assert isinstance(multiply_adds, int) and multiply_adds >= 0
    assert set(layer.keeps) <= {"bottom", "top", "top sign"}
    assert not [name for name, value in vars(layer).items() if isinstance(value, np.ndarray)]


@every_case
def test_names_do_not_collide(type, shapes, keywords):
    layer = build(type, **keywords)
    bound = [*layer.param_shapes(*shapes), *layer.buffers(*shapes)]
    own = [name for name in bound if hasattr(layer, name)]
    assert not own, f"parameters and buffers would overwrite the layer's own {own}"
    assert len(set(bound)) == len(bound)


@every_case
def test_building_leaves_the_message_alone(type, shapes, keywords):
    keywords = {k: v for k, v in keywords.items() if k != "phase"}
    spec = make_spec(type, **keywords)
    layer = build(type, **keywords)
    assert layer.spec == spec


@pytest.mark.parametrize("type", sorted(EXAMPLES))
def test_what_a_layer_computes_is_declared(type):
    layers = [build(type, **keywords) for _, keywords in EXAMPLES[type].values()]
    assert {layer.op.__class__ for layer in layers if layer.op} == {*REGISTRY[type].computes}


@every_type
def test_parameters_are_fields_of_layer_parameter(type):
    known = schema.LayerParameter.DESCRIPTOR.fields_by_name
    assert [field for field in REGISTRY[type].parameters if field not in known] == []


# ------------------------------------------------------------------------------------ forward


@every_case
def test_forward_fills_every_top_and_keeps_its_shape(type, shapes, keywords, device):
    layer, bottom, top = prepare(type, shapes, keywords, device)
    forward(layer, bottom, top)
    for i, (blob, shape) in enumerate(zip(top, layer.top_shapes(*shapes), strict=True)):
        assert blob.data.shape == shape, f"top[{i}]"
        assert not np.isnan(values(blob)).any(), f"top[{i}] has elements that forward did not write"
        assert blob.data.dtype == layer.dtype


@every_case
def test_forward_leaves_bottoms_and_learned_parameters_alone(type, shapes, keywords, device):
    layer, bottom, top = prepare(type, shapes, keywords, device)
    learned = [p for p in layer.params if p.name not in layer.statistics]
    before = [values(blob) for blob in bottom + learned]
    forward(layer, bottom, top)
    for blob, expected in zip(bottom + learned, before, strict=True):
        np.testing.assert_array_equal(values(blob), expected, err_msg=blob.name)


@every_case
def test_a_pass_can_be_repeated_bit_for_bit(type, shapes, keywords, device):
    first = forward_and_backward(*prepare(type, shapes, keywords, device, seed=7))
    assert_same(forward_and_backward(*prepare(type, shapes, keywords, device, seed=7)), first)


@every_case
def test_float32_agrees_with_float64_on_the_cpu(type, shapes, keywords, device):
    exact = forward_and_backward(*prepare(type, shapes, keywords, dtype=np.float64))
    layer, bottom, top = prepare(type, shapes, keywords, device, dtype=np.float32)
    rounded = forward_and_backward(layer, bottom, top)
    assert rounded.keys() == exact.keys()
    for name, expected in exact.items():
        assert rounded[name].dtype == np.float32, name
        scale = np.abs(expected).max(initial=0)
        np.testing.assert_allclose(rounded[name], expected, rtol=0, atol=1e-5 * scale, err_msg=name)


# ----------------------------------------------------------------------------------- backward


@every_differentiable_case
def test_backward_is_the_derivative_of_forward(type, shapes, keywords, device):
    layer = build(type, device=device, **keywords)
    samples = layer.sample_bottoms(shapes, np.random.default_rng(5))
    if any(wanted(layer, shapes)):
        check_backward(layer, *samples, limit=12 if device == "cpu" else 3, tolerance=1e-6)


@every_differentiable_case
def test_backward_overwrites_bottom_diffs(type, shapes, keywords, device):
    layer, bottom, top = prepare(type, shapes, keywords, device)
    gradients = forward_and_backward(layer, bottom, top)
    for name, array in gradients.items():
        assert not np.isnan(array).any(), f"{name} has elements that backward did not write"
    if not layer.views:
        seed_diffs(layer, bottom, top)
        assert_same(backward(layer, bottom, top), pick(gradients, "diff"))


@every_differentiable_case
def test_backward_adds_to_parameter_diffs(type, shapes, keywords, device):
    layer, bottom, top = prepare(type, shapes, keywords, device)
    once = forward_and_backward(layer, bottom, top)
    for param in layer.params:
        write(param, 3, "diff")
    backward(layer, bottom, top)
    for param in layer.params:
        if param.wanted:
            expected = 3 + once[f"{param.name}.diff"]
            np.testing.assert_allclose(values(param, "diff"), expected, 1e-12, err_msg=param.name)
        else:
            np.testing.assert_array_equal(values(param, "diff"), 3, err_msg=param.name)


@every_differentiable_case
def test_backward_does_what_is_wanted_and_no_more(type, shapes, keywords, device):
    layer, bottom, top = prepare(type, shapes, keywords, device)
    everything = forward_and_backward(layer, bottom, top)
    possible = wanted(layer, bottom)
    learned = [p for p in layer.params if p.wanted]
    for chosen in [*(i for i, want in enumerate(possible) if want), *learned]:
        seed_diffs(layer, bottom, top)
        for param in learned:
            param.wanted = param is chosen
        backward(layer, bottom, top, [i == chosen for i in range(len(bottom))])
        for i, blob in enumerate(bottom):
            got = values(blob, "diff")
            if i == chosen:
                np.testing.assert_array_equal(got, everything[f"bottom[{i}].diff"])
            elif not shares_diff(blob, top):
                assert np.isnan(got).all(), f"bottom[{i}] was not wanted"
        for param in learned:
            expected = everything[f"{param.name}.diff"] if param is chosen else 0
            np.testing.assert_array_equal(values(param, "diff"), expected, err_msg=param.name)


@every_differentiable_case
def test_backward_reads_only_what_the_layer_keeps(type, shapes, keywords, device):
    assert_reads_only_what_it_keeps(*prepare(type, shapes, keywords, device))


def assert_reads_only_what_it_keeps(layer, bottom, top):
    data = [values(blob) for blob in bottom]
    expected = pick(forward_and_backward(layer, bottom, top), "diff")
    for blob, numbers in zip(bottom, data, strict=True):
        write(blob, numbers)
    forward(layer, bottom, top)
    spoil(layer, bottom, top)
    seed_diffs(layer, bottom, top)
    assert_same(backward(layer, bottom, top), expected)


def spoil(layer, bottom, top):
    """Destroy all that backward has no right to read: other data, and scratch buffers."""
    if "top sign" in layer.keeps and "top" not in layer.keeps:
        for blob in top:
            y = values(blob)
            write(blob, np.where(y > 0, y + 7, -np.abs(y) * 3))
    elif "top" not in layer.keeps:
        for blob in top:
            write(blob, np.nan)
    if "bottom" not in layer.keeps:
        for blob in bottom:
            if blob not in top:
                write(blob, np.nan)
    for name, buffer in layer.buffers(*(b.shape for b in bottom)).items():
        if not buffer.kept:
            array = getattr(layer, name)
            layer.ctx.device.write(array, np.nan if array.dtype.kind == "f" else 1)


@every_differentiable_case
def test_passes_bind_no_arrays(type, shapes, keywords, device):
    layer, bottom, top = prepare(type, shapes, keywords, device)

    def arrays():
        return {k: id(v) for k, v in vars(layer).items() if isinstance(v, layer.xp.ndarray)}

    bound = arrays()
    forward(layer, bottom, top)
    assert arrays() == bound, "forward made an array that buffers did not declare"
    seed_diffs(layer, bottom, top)
    names = set(vars(layer))
    backward(layer, bottom, top)
    assert arrays() == bound, "backward made an array that buffers did not declare"
    assert set(vars(layer)) == names, "backward made attributes"


def pick(arrays, ending):
    return {name: array for name, array in arrays.items() if name.endswith(ending)}


# ----------------------------------------------------------------------------------- on a GPU


@every_case
def test_on_a_gpu_later_passes_do_nothing_but_launch(type, shapes, keywords, gpu):
    """The host sends nothing, fetches nothing, waits for nothing, and no array is made, so that a
    pass can be recorded as a CUDA graph. The exception is array code that draws random numbers:
    it sends them in every pass."""
    if type in ON_HOST:
        pytest.skip(f"{type} runs on the host in part: {ON_HOST[type]}")
    assert_later_passes_only_launch(gpu, *prepare(type, shapes, keywords, "cuda:0"))


def assert_later_passes_only_launch(gpu, layer, bottom, top):
    data = [values(blob) for blob in bottom]
    drawn, random = [], layer.random
    layer.random = lambda: drawn.append(layer.type) or random()
    first = forward_and_backward(layer, bottom, top)
    assert set(drawn) <= {"Dropout", "Pooling", "DummyData"}
    if layer.differentiable:
        seed_diffs(layer, bottom, top)
    for blob, numbers in zip(bottom, data, strict=True):
        write(blob, numbers)
    want, fetched = wanted(layer, bottom), gpu.d2h
    with layer.ctx.device.current(), gpu.strict(transfers=not drawn):
        layer.forward(bottom, top)
        if layer.differentiable:
            layer.backward(top, want, bottom)
    assert gpu.d2h == fetched
    for i, blob in enumerate(top):
        np.testing.assert_array_equal(values(blob), first[f"top[{i}]"])
    if layer.differentiable:
        for i, blob in enumerate(bottom):
            if want[i]:
                np.testing.assert_array_equal(values(blob, "diff"), first[f"bottom[{i}].diff"])


# ----------------------------------------------------------------------------------- in place


def works_in_place(case):
    type, _, keywords = case.values
    try:
        return build(type, in_place=True, **keywords).in_place
    except LayerConfigError:
        return False


IN_PLACE = [c for c in DIFFERENTIABLE if REGISTRY[c.values[0]].in_place and works_in_place(c)]


@pytest.mark.parametrize("type, shapes, keywords", IN_PLACE)
def test_in_place_gives_the_same_numbers(type, shapes, keywords, device):
    apart = forward_and_backward(*prepare(type, shapes, keywords, device))
    layer, bottom, top = prepare(type, shapes, keywords, device, in_place=True)
    assert top[0] is bottom[0]
    if "bottom" in layer.keeps:  # then the net refuses it wherever a gradient is needed
        forward(layer, bottom, top)
        np.testing.assert_array_equal(values(top[0]), apart["top[0]"])
    else:
        assert_same(forward_and_backward(layer, bottom, top), apart)
        assert_reads_only_what_it_keeps(*prepare(type, shapes, keywords, device, in_place=True))


@pytest.mark.parametrize("type, shapes, keywords", IN_PLACE)
def test_on_a_gpu_passes_in_place_do_nothing_but_launch(type, shapes, keywords, gpu):
    layer, bottom, top = prepare(type, shapes, keywords, "cuda:0", in_place=True)
    if "bottom" not in layer.keeps:
        assert_later_passes_only_launch(gpu, layer, bottom, top)


@pytest.mark.parametrize("type, shapes, keywords", IN_PLACE)
def test_whoever_claims_to_keep_signs_does(type, shapes, keywords):
    layer, bottom, top = prepare(type, shapes, keywords)
    if not layer.keeps_sign:
        return
    layer.forward(bottom, top)
    for blob in top:
        blob.diff.fill(1)
    layer.backward(top, wanted(layer, bottom), bottom)
    matters = bottom[0].diff != 0
    np.testing.assert_array_equal((top[0].data > 0)[matters], (bottom[0].data > 0)[matters])


@every_type
def test_types_that_cannot_work_in_place_say_so(type):
    cls = REGISTRY[type]
    if not cls.in_place and most(cls.bottoms) != 0 != most(cls.tops):
        counts = dict(bottoms=max(1, least(cls.bottoms)), tops=None if least(cls.tops) else 1)
        with pytest.raises(LayerConfigError, match=rf"{type} layer 'odd'(.|\n)*name of its own"):
            build(type, name="odd", in_place=True, **counts)


# ----------------------------------------------------------------------- counts and docstrings


def least(count):
    return count if isinstance(count, int) else count[0]


def most(count):
    return count if isinstance(count, int) else count[1]


@every_type
def test_wrong_counts_are_refused_and_name_the_layer(type):
    cls = REGISTRY[type]
    wrong = []
    for kind, count in (("bottom", cls.bottoms), ("top", cls.tops)):
        if least(count) > 0 and not (kind == "top" and cls.loss and least(count) == 1):
            wrong.append((kind, least(count) - 1))
        if most(count) is not None:
            wrong.append((kind, most(count) + 1))
    for kind, number in wrong:
        message = rf"{type} layer 'odd'.*(has {number} {kind}|bottoms and)(.|\n)*expected: "
        with pytest.raises(LayerConfigError, match=message):
            build(type, name="odd", **{kind + "s": number})


@every_type
def test_the_docstring_names_blobs_fields_and_source(type):
    cls = REGISTRY[type]
    doc = cls.__dict__.get("__doc__") or ""
    assert doc, f"{type} has no docstring"
    absent = [blob for blob in blobs(cls) if blob not in doc]
    for message in cls.parameters:
        fields = schema.LayerParameter.DESCRIPTOR.fields_by_name[message].message_type.fields
        elsewhere = re.search(rf"\b{message}\s+as for (\w+)", doc)
        text = REGISTRY[elsewhere[1]].__doc__ if elsewhere else doc
        # those marked as deprecated never reach a layer
        names = [message, *(f.name for f in fields if not f.GetOptions().deprecated)]
        absent += [name for name in names if not word(name, text)]
    for shapes, keywords in EXAMPLES.get(type, {}).values():
        learned = build(type, **keywords).param_shapes(*shapes)
        absent += [name for name in learned if not word(name, doc)]
    assert not absent, (
        f"the docstring of {type} does not mention {absent}, nor that it ignores them"
    )
    assert "Source: " in doc, f"the docstring of {type} does not say where it comes from"


def blobs(cls):
    """ "bottom[0]", "bottom[1]", "top[0]": those there can be; "bottom[i]" if there is no end."""
    for kind, count in (("bottom", cls.bottoms), ("top", cls.tops)):
        if most(count) is None:
            yield f"{kind}[i]"
        else:
            yield from (f"{kind}[{i}]" for i in range(most(count)))


def word(name, text):
    return re.search(rf"\b{name}\b", text)


@every_case
def test_a_layer_that_nobody_holds_is_gone_at_once(type, shapes, keywords):
    """A reference to itself would keep its arrays until the garbage collector comes by."""
    gc.disable()
    try:
        layer, bottom, top = prepare(type, shapes, keywords)
        forward(layer, bottom, top)
        left = weakref.ref(layer)
        del layer, bottom, top
        assert left() is None
    finally:
        gc.enable()
