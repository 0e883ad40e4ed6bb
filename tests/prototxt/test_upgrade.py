"""Old forms of nets and solvers, and what today's form of each is: pairs of texts."""

import pytest
from google.protobuf import text_format

from minidl import schema
from minidl.errors import PrototxtError
from minidl.prototxt import clear_origins, read_message, to_text, upgrade_net, upgrade_solver

# old text, the text it must become
PAIRS = {
    "V0: convolution": (
        """name: 'n' force_backward: true
        layers {
          layer { name: 'c' type: 'conv' num_output: 8 biasterm: false kernelsize: 5 pad: 2
                  stride: 3 group: 2 weight_filler { type: 'gaussian' std: 0.5 }
                  bias_filler { value: 1 } blobs_lr: 1. blobs_lr: 2. weight_decay: 3 weight_decay: 0
          }
          bottom: 'data' top: 'c' }""",
        """name: 'n' force_backward: true
        layer { name: 'c' type: 'Convolution' bottom: 'data' top: 'c'
          param { lr_mult: 1 decay_mult: 3 } param { lr_mult: 2 decay_mult: 0 }
          convolution_param { num_output: 8 bias_term: false kernel_size: 5 pad: 2 stride: 3
            group: 2 weight_filler { type: 'gaussian' std: 0.5 } bias_filler { value: 1 } } }""",
    ),
    "Netscope: a mark of an output, and a layer that passes on": (
        """layer { name: 'i' type: 'InnerProduct' bottom: 'x' top: 'y' }
        layer { name: 'out' type: 'implicit' bottom: 'y' }
        layer { name: 'too' type: 'implicit' bottom: 'y' top: 'y' }
        layer { name: 'on' type: 'implicit' bottom: 'y' top: 'z' }""",
        """layer { name: 'i' type: 'InnerProduct' bottom: 'x' top: 'y' }
        layer { name: 'on' type: 'Split' bottom: 'y' top: 'z' }""",
    ),
    "V0: what a branch of 2013 takes off after scaling": (
        """layers { layer { name: 'd' type: 'data' source: 's' scale: 0.5 subtraction: 3 }
                    top: 'x' top: 'y' }""",
        """layer { name: 'd' type: 'Data' top: 'x' top: 'y'
                   transform_param { scale: 0.5 mean_value: 6 } data_param { source: 's' } }""",
    ),
    "caffe-pro: the shorter side": (
        """layer { name: 'i' type: 'ImageData' top: 'x' image_data_param { source: 's' new_dim: 256
                   bicubic: true } transform_param { crop_size: 224 } }
           layer { name: 'j' type: 'ImageData' top: 'y' image_data_param { new_dim: 9 } }
           layer { name: 'k' type: 'ImageData' top: 'z' image_data_param { bicubic: true } }""",
        """layer { name: 'i' type: 'ImageData' top: 'x' image_data_param { source: 's' }
                   transform_param { crop_size: 224
                     resize { mode: COVER height: 256 filter: BICUBIC } } }
           layer { name: 'j' type: 'ImageData' top: 'y' image_data_param { }
                   transform_param { resize { mode: COVER height: 9 } } }
           layer { name: 'k' type: 'ImageData' top: 'z' image_data_param { } }""",
    ),
    "V0: memory of a branch": (
        """layers { layer { name: 'm' type: 'memory_data'
                            datum_dims { channels: 3 height: 5 width: 7 } } top: 'x' }
           layers { layer { name: 'r' type: 'relu' } bottom: 'x' top: 'y' }""",
        """layer { name: 'input' type: 'Input' top: 'x'
                   input_param { shape { dim: 1 dim: 3 dim: 5 dim: 7 } } }
           layer { name: 'r' type: 'ReLU' bottom: 'x' top: 'y' }""",
    ),
    "V0: locally connected": (
        """layers { layer { name: 'l' type: 'locally_connected' num_output: 8 biasterm: false
                  kernelsize: 5 pad: 2 stride: 3 weight_filler { type: 'gaussian' std: 0.5 }
                  bias_filler { value: 1 } } bottom: 'data' top: 'l' }""",
        """layer { name: 'l' type: 'Local' bottom: 'data' top: 'l'
          local_param { num_output: 8 bias_term: false kernel_size: 5 pad: 2 stride: 3
            weight_filler { type: 'gaussian' std: 0.5 } bias_filler { value: 1 } } }""",
    ),
    "Netscope: a data layer that is an input": (
        """layer { name: 'd' type: 'Data' top: 'x' input_param { shape { dim: 3 } } }
           layer { name: 'e' type: 'Data' top: 'y' input_param { shape { dim: 3 } }
                   data_param { source: 's' } }""",
        """layer { name: 'd' type: 'Input' top: 'x' input_param { shape { dim: 3 } } }
           layer { name: 'e' type: 'Data' top: 'y' input_param { shape { dim: 3 } }
                   data_param { source: 's' } }""",
    ),
    "NVIDIA: a scale and shift in BatchNorm": (
        """layer { name: 'b' type: 'BatchNorm' bottom: 'x' top: 'y' include { phase: TEST }
                   param { lr_mult: 0 } param { lr_mult: 0 } param { lr_mult: 0 }
                   param { lr_mult: 0 } param { decay_mult: 0 }
                   batch_norm_param { eps: 0.5 scale_bias: true scale_filler { value: 2 } } }
           layer { name: 'c' type: 'BatchNorm' bottom: 'y' top: 'y'
                   batch_norm_param { bias_filler { value: 3 } } }
           layer { name: 'd' type: 'BatchNorm' bottom: 'y' top: 'z' }""",
        """layer { name: 'b' type: 'BatchNorm' bottom: 'x' top: 'y' include { phase: TEST }
                   param { lr_mult: 0 decay_mult: 0 } param { lr_mult: 0 decay_mult: 0 }
                   param { lr_mult: 0 decay_mult: 0 } batch_norm_param { eps: 0.5 } }
           layer { name: 'b/scale_bias' type: 'Scale' bottom: 'y' top: 'y' include { phase: TEST }
                   param { lr_mult: 1 decay_mult: 1 } param { lr_mult: 1 decay_mult: 1 }
                   scale_param { filler { value: 2 } bias_term: true } }
           layer { name: 'c' type: 'BatchNorm' bottom: 'y' top: 'y' batch_norm_param { } }
           layer { name: 'c/scale_bias' type: 'Scale' bottom: 'y' top: 'y'
                   scale_param { bias_term: true bias_filler { value: 3 } } }
           layer { name: 'd' type: 'BatchNorm' bottom: 'y' top: 'z' }""",
    ),
    "V1: transform_param inside a data layer's own message": (
        """layers { name: 'd' type: DATA top: 'x' transform_param { scale: 2 }
                    data_param { batch_size: 3 transform_param { scale: 5 crop_size: 4 } } }
           layers { name: 'i' type: IMAGE_DATA top: 'y'
                    image_data_param { transform_param { mirror: true } batch_size: 3 } }""",
        """layer { name: 'd' type: 'Data' top: 'x' transform_param { scale: 2 crop_size: 4 }
                   data_param { batch_size: 3 } }
           layer { name: 'i' type: 'ImageData' top: 'y' transform_param { mirror: true }
                   image_data_param { batch_size: 3 } }""",
    ),
    "V1: normalisation within maps had a type of its own": (
        """layers { name: 'n' type: LRN_MAP bottom: 'x' top: 'y'
                    lrn_map_param { local_size: 3 alpha: 5e-05 beta: 0.5 } }""",
        """layer { name: 'n' type: 'LRN' bottom: 'x' top: 'y'
                   lrn_param { local_size: 3 alpha: 5e-05 beta: 0.5
                               norm_region: WITHIN_CHANNEL } }""",
    ),
    "V0: every other type": (
        """layers { layer { name: 'p' type: 'pool' pool: AVE kernelsize: 3 stride: 2 pad: 1 } }
        layers { layer { name: 'i' type: 'innerproduct' num_output: 3 biasterm: true
                         weight_filler { type: 'xavier' } bias_filler { value: 2 } } }
        layers { layer { name: 'l' type: 'lrn' local_size: 3 alpha: 2 beta: 0.5 k: 4 } }
        layers { layer { name: 'd' type: 'dropout' dropout_ratio: 0.25 } }
        layers { layer { name: 'h' type: 'hdf5_data' source: 's' batchsize: 7 } }
        layers { layer { name: 'm' type: 'images' source: 's' batchsize: 8 rand_skip: 3
                         shuffle_images: true new_height: 10 new_width: 20 } }
        layers { layer { name: 'w' type: 'window_data' source: 's' batchsize: 9
                         det_fg_threshold: 0.1 det_bg_threshold: 0.2 det_fg_fraction: 0.3
                         det_context_pad: 4 det_crop_mode: 'square' } }
        layers { layer { name: 'o' type: 'hdf5_output' hdf5_output_param { file_name: 'f' } } }
        layers { layer { name: 'g' type: 'infogain_loss' source: 's' } }
        layers { layer { name: 'c' type: 'concat' concat_dim: 0 } }
        layers { layer { name: '1' type: 'accuracy' } } layers { layer { type: 'bnll' } }
        layers { layer { type: 'euclidean_loss' } } layers { layer { type: 'flatten' } }
        layers { layer { type: 'im2col' } } layers { layer { type: 'multinomial_logistic_loss' } }
        layers { layer { type: 'relu' } } layers { layer { type: 'sigmoid' } }
        layers { layer { type: 'softmax' } } layers { layer { type: 'softmax_loss' } }
        layers { layer { type: 'split' } } layers { layer { type: 'tanh' } }""",
        """layer { name: 'p' type: 'Pooling'
                pooling_param { pool: AVE kernel_size: 3 stride: 2 pad: 1 } }
        layer { name: 'i' type: 'InnerProduct'
                inner_product_param { num_output: 3 bias_term: true
                  weight_filler { type: 'xavier' } bias_filler { value: 2 } } }
        layer { name: 'l' type: 'LRN' lrn_param { local_size: 3 alpha: 2 beta: 0.5 k: 4 } }
        layer { name: 'd' type: 'Dropout' dropout_param { dropout_ratio: 0.25 } }
        layer { name: 'h' type: 'HDF5Data' hdf5_data_param { source: 's' batch_size: 7 } }
        layer { name: 'm' type: 'ImageData'
                image_data_param { source: 's' batch_size: 8 rand_skip: 3 shuffle: true
                  new_height: 10 new_width: 20 } }
        layer { name: 'w' type: 'WindowData'
                window_data_param { source: 's' batch_size: 9 fg_threshold: 0.1 bg_threshold: 0.2
                  fg_fraction: 0.3 context_pad: 4 crop_mode: 'square' } }
        layer { name: 'o' type: 'HDF5Output' hdf5_output_param { file_name: 'f' } }
        layer { name: 'g' type: 'InfogainLoss' infogain_loss_param { source: 's' } }
        layer { name: 'c' type: 'Concat' concat_param { concat_dim: 0 } }
        layer { name: '1' type: 'Accuracy' } layer { type: 'BNLL' }
        layer { type: 'EuclideanLoss' } layer { type: 'Flatten' }
        layer { type: 'Im2col' } layer { type: 'MultinomialLogisticLoss' }
        layer { type: 'ReLU' } layer { type: 'Sigmoid' }
        layer { type: 'Softmax' } layer { type: 'SoftmaxWithLoss' }
        layer { type: 'Split' } layer { type: 'TanH' }""",
    ),
    "V0: data, with its transform": (
        """layers { layer { name: 'd' type: 'data' source: 's' batchsize: 7 scale: 0.5 cropsize: 20
                            meanfile: 'm' mirror: true rand_skip: 2 } top: 'data' top: 'label' }""",
        """layer { name: 'd' type: 'Data' top: 'data' top: 'label'
                   transform_param { scale: 0.5 crop_size: 20 mean_file: 'm' mirror: true }
                   data_param { source: 's' batch_size: 7 rand_skip: 2 } }""",
    ),
    "V0: padding is folded into conv and pool": (
        """input: 'd' input_dim: 1 input_dim: 2 input_dim: 3 input_dim: 4
        layers { layer { name: 'pad' type: 'padding' pad: 2 } bottom: 'd' top: 'p' }
        layers { layer { name: 'c' type: 'conv' kernelsize: 5 } bottom: 'p' top: 'c' }
        layers { layer { name: 'e' type: 'conv' kernelsize: 3 } bottom: 'p' top: 'e' }
        layers { layer { name: 'pad2' type: 'padding' pad: 1 } bottom: 'c' top: 'c2' }
        layers { layer { name: 's' type: 'pool' kernelsize: 3 } bottom: 'c2' top: 's' }""",
        """layer { name: 'input' type: 'Input' top: 'd'
                   input_param { shape { dim: 1 dim: 2 dim: 3 dim: 4 } } }
        layer { name: 'c' type: 'Convolution' bottom: 'd' top: 'c'
                convolution_param { kernel_size: 5 pad: 2 } }
        layer { name: 'e' type: 'Convolution' bottom: 'd' top: 'e'
                convolution_param { kernel_size: 3 pad: 2 } }
        layer { name: 's' type: 'Pooling' bottom: 'c' top: 's'
                pooling_param { kernel_size: 3 pad: 1 } }""",
    ),
    "V0: a blob that padding made, and another layer made anew": (
        """layers { layer { name: 'pad' type: 'padding' pad: 2 } bottom: 'd' top: 'p' }
        layers { layer { name: 'r' type: 'relu' } bottom: 'd' top: 'p' }
        layers { layer { name: 'i' type: 'innerproduct' } bottom: 'p' top: 'i' }""",
        """layer { name: 'r' type: 'ReLU' bottom: 'd' top: 'p' }
        layer { name: 'i' type: 'InnerProduct' bottom: 'p' top: 'i' }""",
    ),
    "V1: rates, names and sharing become param": (
        """layers { name: 'i' type: INNER_PRODUCT bottom: 'a' top: 'b' param: 'w' param: 'b'
                    blob_share_mode: PERMISSIVE blobs_lr: 1 blobs_lr: 0 weight_decay: 2
                    loss_weight: 3 include { phase: TEST } exclude { stage: 's' }
                    inner_product_param { num_output: 4 } }
        layers { name: 'j' type: INNER_PRODUCT weight_decay: 1 weight_decay: 0 }""",
        """layer { name: 'i' type: 'InnerProduct' bottom: 'a' top: 'b' loss_weight: 3
                   param { name: 'w' share_mode: PERMISSIVE lr_mult: 1 decay_mult: 2 }
                   param { name: 'b' lr_mult: 0 }
                   include { phase: TEST } exclude { stage: 's' }
                   inner_product_param { num_output: 4 } }
        layer { name: 'j' type: 'InnerProduct' param { decay_mult: 1 } param { decay_mult: 0 } }""",
    ),
    "V1: every field of the net is kept": (
        """name: 'n' force_backward: true debug_info: true state { level: 2 }
        layers { name: 'a' type: NONE }""",
        """name: 'n' force_backward: true debug_info: true state { level: 2 }
        layer { name: 'a' type: '' }""",
    ),
    "V1: old transform fields win over transform_param": (
        """layers { type: DATA transform_param { scale: 9 mirror: true }
                    data_param { source: 's' scale: 2 mean_file: 'm' crop_size: 3 } }
        layers { type: IMAGE_DATA image_data_param { mirror: true new_height: 5 } }
        layers { type: WINDOW_DATA window_data_param { crop_size: 7 crop_mode: 'warp' } }
        layers { type: MEMORY_DATA data_param { scale: 5 } }""",
        """layer { type: 'Data' data_param { source: 's' }
                   transform_param { scale: 2 mirror: true mean_file: 'm' crop_size: 3 } }
        layer { type: 'ImageData' transform_param { mirror: true }
                image_data_param { new_height: 5 } }
        layer { type: 'WindowData' transform_param { crop_size: 7 }
                window_data_param { crop_mode: 'warp' } }
        layer { type: 'MemoryData' data_param { scale: 5 } }""",
    ),
    "V2: transform fields in the data layer have no effect": (
        "layer { type: 'Data' data_param { source: 's' scale: 2 mirror: true } }",
        "layer { type: 'Data' data_param { source: 's' } }",
    ),
    "inputs with shapes": (
        """input: 'a' input: 'b' input_shape { dim: 2 dim: 3 } input_shape { dim: 4 }
        layer { name: 'r' type: 'ReLU' }""",
        """layer { name: 'input' type: 'Input' top: 'a' top: 'b'
                   input_param { shape { dim: 2 dim: 3 } shape { dim: 4 } } }
        layer { name: 'r' type: 'ReLU' }""",
    ),
    "inputs with dims": (
        """input: 'a' input_dim: 1 input_dim: 2 input_dim: 3 input_dim: 4
        input: 'b' input_dim: 5 input_dim: 6 input_dim: 7 input_dim: 8""",
        """layer { name: 'input' type: 'Input' top: 'a' top: 'b' input_param {
             shape { dim: 1 dim: 2 dim: 3 dim: 4 } shape { dim: 5 dim: 6 dim: 7 dim: 8 } } }""",
    ),
    "inputs with both": (
        "input: 'a' input_shape { dim: 9 } input_dim: 1 input_dim: 2 input_dim: 3 input_dim: 4",
        "layer { name: 'input' type: 'Input' top: 'a' input_param { shape { dim: 9 } } }",
    ),
    "inputs without shapes, as in weight files": (
        "input: 'a' layer { name: 'r' type: 'ReLU' }",
        "layer { name: 'r' type: 'ReLU' }",
    ),
    "shapes without inputs": ("input_dim: 3 input_shape { dim: 2 }", ""),
    "BatchNorm with three param": (
        """layer { type: 'BatchNorm' param { lr_mult: 0 } param { name: 'v' } param {} }
        layer { type: 'BatchNorm' param { lr_mult: 1 } param {} }
        layer { type: 'Scale' param { } param { lr_mult: 1 } param {} }""",
        """layer { type: 'BatchNorm' param { lr_mult: 0 decay_mult: 0 }
                param { name: 'v' lr_mult: 0 decay_mult: 0 } param { lr_mult: 0 decay_mult: 0 } }
        layer { type: 'BatchNorm' param { lr_mult: 1 } param {} }
        layer { type: 'Scale' param { } param { lr_mult: 1 } param {} }""",
    ),
}

# V1 name -> today's name, where they are not the same but for case and underscores
V1_TYPES = {
    "ABSVAL": "AbsVal",
    "BNLL": "BNLL",
    "HDF5_DATA": "HDF5Data",
    "HDF5_OUTPUT": "HDF5Output",
    "IM2COL": "Im2col",
    "LRN": "LRN",
    "MVN": "MVN",
    "ARGMAX": "ArgMax",
    "RELU": "ReLU",
    "TANH": "TanH",
    "SOFTMAX_LOSS": "SoftmaxWithLoss",
    "LRN_MAP": "LRN",
    "MULTI_SOFTMAX": "Softmax",
    "TOPK": "TopK",
    "NONE": "",
}


def net(text):
    return read_message(text, schema.NetParameter, "old.prototxt")


def upgraded(text):
    new, _ = upgrade_net(net(text))
    clear_origins(new)
    return new


def refused(message, upgrade=upgrade_net):
    with pytest.raises(PrototxtError) as caught:
        upgrade(message)
    return str(caught.value)


@pytest.mark.parametrize("old, new", PAIRS.values(), ids=PAIRS.keys())
def test_an_old_form_becomes_todays(old, new):
    before = net(old)
    kept = before.SerializeToString(deterministic=True)
    after, notes = upgrade_net(before)
    clear_origins(after)
    assert to_text(after) == to_text(text_format.Parse(new, schema.NetParameter()))
    assert notes, "an upgrade must be told"
    assert before.SerializeToString(deterministic=True) == kept, "upgrades are pure"


@pytest.mark.parametrize("old, new", PAIRS.values(), ids=PAIRS.keys())
def test_todays_form_is_left_alone(old, new):
    current = net(new)
    after, notes = upgrade_net(current)
    assert after is current and notes == []


@pytest.mark.parametrize(
    "old", list(schema.V1LayerParameter.DESCRIPTOR.enum_types_by_name["LayerType"].values_by_name)
)
def test_every_type_of_v1_has_todays_name(old):
    camel = "".join(word.capitalize() for word in old.split("_"))
    assert upgraded(f"layers {{ type: {old} }}").layer[0].type == V1_TYPES.get(old, camel)


V0_TYPES = (
    "conv pool innerproduct locally_connected dropout lrn data images hdf5_data window_data "
    "infogain_loss concat hdf5_output relu"
).split()


def fields(message, *without):
    names = {"minidl_origin", *without}
    return [field for field in message.DESCRIPTOR.fields if field.name not in names]


@pytest.mark.parametrize("field", fields(schema.V1LayerParameter, "layer"), ids=lambda f: f.name)
def test_every_field_of_v1_has_a_place(field):
    old = schema.NetParameter()
    _set(old.layers.add(), field)
    new, _ = upgrade_net(old)
    assert new.layer[0] != schema.LayerParameter()


# Caffe has no place for the extents of its old reshape layer either; datum_dims makes an input
@pytest.mark.parametrize(
    "field",
    fields(schema.V0LayerParameter, "name", "type", "new_num", "new_channels", "datum_dims"),
    ids=lambda f: f.name,
)
def test_every_field_of_v0_has_a_place_in_some_type_and_is_named_where_it_has_none(field):
    placed = []
    for kind in V0_TYPES:
        old = schema.NetParameter()
        old.layers.add().layer.type = kind
        _set(old.layers[0].layer, field)
        new, notes = upgrade_net(old)
        placed.append(new.layer[0] != schema.LayerParameter(type=new.layer[0].type))
        told = any(f"dropped {field.name}," in note for note in notes)
        assert placed[-1] != told, kind
    assert any(placed)


def _set(message, field):
    value = {9: "x", 2: 0.5, 8: True}.get(field.type, 1)
    if field.message_type is not None:
        target = getattr(message, field.name)
        if hasattr(target, "add"):
            target.add()
        else:
            target.SetInParent()
    elif hasattr(getattr(message, field.name), "append"):
        getattr(message, field.name).append(value)
    else:
        setattr(message, field.name, value)


def test_blobs_are_kept_from_every_form():
    for make in (
        lambda n: n.layer.add(name="c", type="Convolution"),
        lambda n: n.layers.add(name="c", type=schema.V1LayerParameter.CONVOLUTION),
        lambda n: n.layers.add().layer,
    ):
        old = schema.NetParameter(input=["data"])
        layer = make(old)
        layer.name = "c"
        if layer.DESCRIPTOR.name == "V0LayerParameter":
            layer.type = "conv"
        layer.blobs.add(data=[1.5, -2.0], num=1, channels=1, height=1, width=2)
        new, _ = upgrade_net(old)
        assert (new.layer[0].name, new.layer[0].type) == ("c", "Convolution")
        assert list(new.layer[0].blobs[0].data) == [1.5, -2.0]
        assert new.layer[0].blobs[0].width == 2 and not new.input


def test_lines_are_carried_along():
    old = net(
        "input: 'd'\n"
        "input_dim: 1 input_dim: 1 input_dim: 9 input_dim: 9\n"
        "layers {\n"
        " bottom: 'd'\n"
        " layer {\n"
        "  name: 'c' type: 'conv'\n"
        "  kernelsize: 5\n"
        "  weight_filler {\n"
        "   std: 1 }\n"
        "  blobs_lr: 1\n"
        "  blobs_lr: 2\n"
        "  meanfile: 'm' } }\n"
        "layers { type: DATA data_param {\n"
        "  scale: 2 } }\n"
    )
    new, _ = upgrade_net(old)
    lines = dict(new.layer[1].minidl_origin.lines)
    assert new.layer[0].minidl_origin.line == 1
    assert new.layer[1].minidl_origin.line == 3
    assert lines["convolution_param.kernel_size"] == 7
    assert lines["convolution_param.weight_filler.std"] == 9
    assert (lines["param.lr_mult"], lines["param[1].lr_mult"]) == (10, 11)
    assert lines["transform_param.mean_file"] == 12 and lines["bottom"] == 4
    assert "blobs_lr" not in lines
    assert new.layer[2].minidl_origin.lines["transform_param.scale"] == 14


def test_what_is_dropped_is_named():
    _, notes = upgrade_net(
        net("layers { layer { name: 'r' type: 'relu' pad: 3 } include { phase: TEST } }")
    )
    assert "old.prototxt: relu layer 'r': dropped pad, which means nothing to this type" in notes
    assert any("relu layer 'r': dropped include" in note for note in notes)
    _, (note,) = upgrade_net(net("layer { name: 'd' type: 'Data' data_param { mirror: true } }"))
    assert "Data layer 'd': data_param has mirror, which has no effect there" in note


def test_both_forms_in_one_text_come_in_the_order_of_its_lines():
    text = "layers { name: 'b' type: RELU }\nlayer { name: 'a' } layers { name: 'c' }\nlayer { }"
    upgraded, _ = upgrade_net(net(text))
    assert [layer.name for layer in upgraded.layer] == ["b", "a", "c", ""]


def test_both_forms_in_an_order_that_is_not_known_are_refused():
    mixed = net("layer { name: 'a' }\nlayers { name: 'b' type: RELU }")
    clear_origins(mixed)
    assert refused(mixed).startswith("RELU layer 'b': the net has both 'layer' (1) and")
    with_2013 = net("layer { name: 'a' }\nlayers { layer { name: 'b' type: 'relu' } }")
    assert refused(with_2013).startswith("old.prototxt:2: relu layer 'b': the net has both")


def test_unknown_types_are_all_named():
    error = refused(
        net("layers { layer { name: 'a' type: 'covn' } }\nlayers { layer { name: 'b' type: 'x' } }")
    )
    assert "old.prototxt:1: covn layer 'a': 'covn' is not a layer type" in error
    assert "did you mean 'conv'?" in error
    assert "old.prototxt:2: x layer 'b': 'x' is not a layer type" in error
    # a type of a fork's enum, in a binary file: protobuf keeps it aside as an unknown field
    binary = schema.NetParameter()
    binary.layers.add(name="a").MergeFromString(b"\x28\x63")
    binary.layers.add(name="b").MergeFromString(b"\x28\x64")
    error = refused(binary)
    assert "layer 'a': its type is number 99" in error
    assert "layer 'b': its type is number 100" in error


def test_padding_that_cannot_be_folded_is_refused():
    error = refused(
        net(
            "layers { layer { name: 'p' type: 'padding' pad: 1 } bottom: 'd' top: 'p' }\n"
            "layers { layer { name: 'r' type: 'relu' } bottom: 'p' top: 'r' }\n"
            "layers { layer { name: 'q' type: 'padding' pad: 1 } bottom: 'd' bottom: 'e' top: 'q' }"
        )
    )
    assert "old.prototxt:2: relu layer 'r': reads 'p', which the padding layer 'p' makes" in error
    assert "old.prototxt:3: padding layer 'q': has 2 bottom and 1 top" in error


@pytest.mark.parametrize(
    "beside, other",
    [
        ("image_data_param { new_dim: 9 new_height: 3 }", "new_height"),
        (
            "image_data_param { new_dim: 9 } transform_param { resize { height: 3 } }",
            "transform_param.resize",
        ),
    ],
)
def test_a_shorter_side_beside_another_size_is_refused(beside, other):
    error = refused(net(f"layer {{ name: 'i' type: 'ImageData'\n top: 'x' {beside} }}"))
    assert error.startswith(f"old.prototxt:2: ImageData layer 'i': has both new_dim and {other}")


def test_what_is_taken_off_after_a_scale_of_nothing_is_refused():
    error = refused(net("layers { layer { name: 'd' type: 'data' scale: 0\n subtraction: 3 } }"))
    assert error.startswith("old.prototxt:2: data layer 'd': has subtraction, and scale is 0")


def test_inputs_and_shapes_that_do_not_add_up_are_refused():
    error = refused(net("input: 'a'\ninput: 'b'\ninput_dim: 1\n"))
    assert error.startswith("old.prototxt:3: the net has 2 input and 1 input_dim\n  expected: 8")
    error = refused(net("input: 'a'\ninput_shape { dim: 1 }\ninput_shape { dim: 1 }"))
    assert error.startswith("old.prototxt:2: the net has 1 input and 2 input_shape\n  expected: 1")


# ------------------------------------------------------------------------------------ solvers


@pytest.mark.parametrize(
    "old, new",
    [
        ("SGD", "SGD"),
        ("NESTEROV", "Nesterov"),
        ("ADAGRAD", "AdaGrad"),
        ("RMSPROP", "RMSProp"),
        ("ADADELTA", "AdaDelta"),
        ("ADAM", "Adam"),
    ],
)
def test_solver_type_becomes_type(old, new):
    solver = read_message(f"base_lr: 1\nsolver_type: {old}", schema.SolverParameter, "s.prototxt")
    upgraded, (note,) = upgrade_solver(solver)
    assert upgraded.type == new and not upgraded.HasField("solver_type")
    assert solver.HasField("solver_type"), "upgrades are pure"
    assert upgraded.minidl_origin.lines["type"] == 2
    assert note == f's.prototxt: turned solver_type: {old} into type: "{new}"'


def test_both_type_and_solver_type_are_refused():
    solver = read_message("type: 'SGD'\nsolver_type: ADAM", schema.SolverParameter, "s.prototxt")
    error = refused(solver, upgrade_solver)
    assert error.startswith("s.prototxt:2: the solver has both type and solver_type")


def test_nets_inside_a_solver_are_upgraded():
    text = "layers { type: RELU }"
    solver = read_message(
        f"net_param {{ {text} }} train_net_param {{ {text} }}"
        f"test_net_param {{ }} test_net_param {{ {text} }}",
        schema.SolverParameter,
    )
    upgraded, notes = upgrade_solver(solver)
    inner = [upgraded.net_param, upgraded.train_net_param, upgraded.test_net_param[1]]
    assert [n.layer[0].type for n in inner] == ["ReLU"] * 3 and len(notes) == 3
    assert not any(n.layers for n in inner) and len(upgraded.test_net_param[0].layer) == 0
