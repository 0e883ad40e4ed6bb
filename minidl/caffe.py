"""Run programs that were written for pycaffe: `import minidl.caffe as caffe`, and no more changes.

The import gives pycaffe's namespace, `minidl.pycaffe`, and has three effects on the process:

- `caffe`, `caffe.io`, `caffe.proto.caffe_pb2` and the others of `minidl.pycaffe.modules` are ours
  from then on, regardless of `sys.path`: the program's other modules may say `import caffe`.
- Nets may run Python layers, as in pycaffe, where loading a net has always meant to trust its code.
  `minidl.layers.context.allow_python(False)` takes that back.
- The log goes to stderr, as Caffe's does, unless the program has handlers of its own.
  GLOG_minloglevel in the environment says from which level on: 0 info, 1 warnings, 2 errors.

`minidl run program.py` does this for a program in which no line was changed.
"""

import sys

from minidl import pycaffe
from minidl.layers import context

for _name, _module in pycaffe.modules().items():
    sys.modules[_name] = sys.modules[f"minidl.{_name}"] = _module
context.allow_python()
pycaffe.init_log()
