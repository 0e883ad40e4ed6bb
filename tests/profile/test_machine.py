"""A device in words."""

from pathlib import Path

from minidl.arrays.device import Device
from minidl.arrays.threads import threads
from minidl.profile import machine


def test_a_processor_is_named_as_the_system_knows_it(monkeypatch):
    text = "processor : 0\nmodel name\t: Fast 3000: the new one\n"
    monkeypatch.setattr(Path, "read_text", lambda self: text)
    assert machine.processor() == "Fast 3000: the new one"
    assert machine.computer(Device("cpu")) == f"Fast 3000: the new one, {threads()} threads"


def test_without_proc_it_is_what_python_knows(monkeypatch):
    def absent(self):
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", absent)
    assert machine.processor()


def test_a_gpu_is_told_with_its_memory(gpu):
    device = Device("cuda:0")
    said = machine.computer(device)
    assert said == machine.gpu(device) and said.startswith("Fake GPU, compute capability 9.0, ")
    assert said.endswith(" available")
