"""Long nets and long nonsense: time grows with their length, not with its square."""

import os
import time

import pytest

import minidl
from minidl.cli import main
from minidl.errors import MinidlError, Several

WIDE = 'layer { name: "in" type: "Input" top: "b0" input_param { shape { dim: 1 dim: 2 } } }\n'
LINES = {
    "unknown types": 'layer {{ name: "l{0}" type: "Typo{0}" bottom: "b{0}" top: "b{1}" }}\n',
    "unknown bottoms": 'layer {{ name: "l{0}" type: "ReLU" bottom: "typo{0}" top: "b{1}" }}\n',
    "tops made twice": 'layer {{ name: "l{0}" type: "ReLU" bottom: "b0" top: "y" }}\n',
    "in place on what others read": 'layer {{ name: "l{0}" type: "ReLU" bottom: "b0" top: "b0" }}\n'
    'layer {{ name: "m{0}" type: "ReLU" bottom: "b0" top: "m{0}" }}\n',
    "each over the others' data": 'layer {{ name: "l{0}" type: "Sigmoid" bottom: "y" top: "y" }}\n',
    "wrong parameters": 'layer {{ name: "l{0}" type: "LRN" bottom: "b0" top: "b{1}"'
    " lrn_param {{ local_size: 2 }} }}\n",
}
FIRST = {
    "each over the others' data": 'layer { name: "x" type: "InnerProduct" bottom: "b0" top: "y"'
    " inner_product_param { num_output: 2 } }"
}


@pytest.mark.parametrize("what", LINES)
def test_errors_of_thousands_of_layers_take_seconds_and_few_are_shown(what):
    text = WIDE + FIRST.get(what, "")
    text += "".join(LINES[what].format(i, i + 1) for i in range(5000))
    if what.startswith("each"):
        text += 'layer { name: "t" type: "EuclideanLoss" bottom: "y" bottom: "b0" top: "l" }'
    began = time.process_time()
    with pytest.raises(MinidlError) as caught:
        minidl.Net(text, minidl.TRAIN)
    assert isinstance(caught.value, Several) and len(str(caught.value)) < 10_000
    assert time.process_time() - began < 15


@pytest.mark.parametrize("share", [False, True])
def test_a_chain_of_thousands_of_layers_is_made_in_seconds(share):
    line = 'layer {{ name: "l{0}" type: "InnerProduct" bottom: "b{0}" top: "b{1}"'
    line += " inner_product_param {{ num_output: 2 }} }}\n"
    text = WIDE + "".join(line.format(i, i + 1) for i in range(4000))
    text += 'layer { name: "loss" type: "EuclideanLoss" bottom: "b4000" bottom: "b0" top: "l" }'
    began = time.process_time()
    with minidl.Net(text, minidl.TRAIN, engine="numpy", share=share) as net:
        net.forward_pass()
        net.backward_pass()
    assert time.process_time() - began < 30  # 2 s


NONSENSE = {
    "words": "word " * 800_000,
    "pairs": "a:1 " * 1_000_000,
    "open blocks": "a { " * 1_000_000,
    "quotes": '"' * 4_000_000,
}


@pytest.mark.parametrize("what", NONSENSE)
def test_megabytes_of_nonsense_are_refused_in_seconds(tmp_path, capsys, what):
    (tmp_path / "n.prototxt").write_text(NONSENSE[what])
    began = time.process_time()
    assert main(["check", str(tmp_path / "n.prototxt")]) == 2
    assert time.process_time() - began < 15  # words took 29 s, pairs 70
    assert len(capsys.readouterr().err) < 10_000


def test_a_large_text_and_a_pipe_are_refused_unread(tmp_path, capsys):
    with open(tmp_path / "long.prototxt", "wb") as file:
        file.truncate(1 << 31)
    os.mkfifo(tmp_path / "pipe.prototxt")
    assert main(["check", str(tmp_path / "long.prototxt")]) == 2
    assert "more than 4194304 bytes" in capsys.readouterr().err
    for path in (str(tmp_path / "pipe.prototxt"), "/dev/zero"):
        assert main(["check", path]) == 2
        assert "is not a regular file" in capsys.readouterr().err
        with pytest.raises(MinidlError, match="is not a regular file"):
            minidl.Net(path, minidl.TEST)
