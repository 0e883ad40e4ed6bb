"""`caffe.proto`: the folder in which Caffe's build leaves caffe_pb2."""

from minidl import caffe_pb2

__all__ = ["caffe_pb2"]
