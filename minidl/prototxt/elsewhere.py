"""Layer types that other Caffes have and minidl does not, and where each comes from."""

from __future__ import annotations

from collections.abc import Iterable

from minidl.errors import did_you_mean

_FLOWNET = "lmb-freiburg/flownet2 has it; minidl does not"
_RTPOSE = "CMU-Perceptual-Computing-Lab/caffe_rtpose has it; minidl does not"
_CASCADE = "zhaoweicai/cascade-rcnn has it; minidl does not"
_SSD = "weiliu89/caffe, branch ssd, has it; minidl does not"
_YOLO = "forks for YOLO such as eric612/Caffe-YOLOv3-Windows have it, each its own; minidl does not"
TYPES = {
    "VideoData": _SSD,
    "BboxAccuracy": _CASCADE,
    "BoxGroupOutput": _CASCADE,
    "DetectionData": _CASCADE,
    "DetectionGroupAccuracy": _CASCADE,
    "DetectionGroupLoss": _CASCADE,
    "ScaleRoute": _CASCADE,
    "Correlation": _FLOWNET,
    "Correlation1D": _FLOWNET,
    "DataAugmentation": _FLOWNET,
    "FlowAugmentation": _FLOWNET,
    "FlowWarp": _FLOWNET,
    "GenerateAugmentationParameters": _FLOWNET,
    "CPMData": _RTPOSE,
    "ImResize": _RTPOSE,
    "Nms": _RTPOSE,
    "LocallyConnected": "it is Local here, and locally_connected_param is local_param",
    "SPATIAL_PYRAMID_POOLING_DATA": (
        "a branch of BVLC/caffe began it (pull request 560) and gave its tops no shape; "
        "keep the features of regions in HDF5 files, and read them with HDF5_DATA"
    ),
    "EvalDetection": _YOLO,
    "RegionLoss": _YOLO,
    "Reorg": _YOLO,
    "Yolov3": _YOLO,
    "Sparsify": "wenwei202/caffe has it; minidl does not",
    "TRT": (
        "NVIDIA/caffe has it, to run another file's net in TensorRT; give that file here, or write "
        "its net with minidl export for TensorRT to read"
    ),
}
PACKAGE = "--import MODULE, or import in Python, the package that has it"
# The messages of these types.
FIELDS = {
    "box_group_output_param": "BoxGroupOutput",
    "scale_route_param": "ScaleRoute",
    "trt_param": "TRT",
    "correlation_param": "Correlation",
    "imresize_param": "ImResize",
    "locally_connected_param": "LocallyConnected",
    "nms_param": "Nms",
    "sparsify_param": "Sparsify",
    "spatial_pyramid_pooling_data_param": "SPATIAL_PYRAMID_POOLING_DATA",
}


def type_hint(name: str, known: Iterable[str]) -> str:
    """Return a fix for an unknown layer type: where it comes from, else the nearest name."""
    return TYPES.get(name) or did_you_mean(name, known) or PACKAGE


def field_hint(name: str) -> str:
    """Return which layer type has an unknown field; empty if that is not known."""
    type = FIELDS.get(name)
    return f"it is a field of {type}: {TYPES[type]}" if type else ""
