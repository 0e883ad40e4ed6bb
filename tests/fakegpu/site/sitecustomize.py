"""Python imports this at its start if the folder is in PYTHONPATH: see `fakegpu.environment`."""

import os

if "MINIDL_TEST_FAKEGPU" in os.environ:
    from tests import fakegpu

    class _ForGood:
        """A monkeypatch that nobody undoes."""

        setitem = staticmethod(dict.__setitem__)
        delitem = staticmethod(dict.__delitem__)

        @staticmethod
        def setattr(target, name, value, raising):
            setattr(target, name, value)

    _devices, _memory = map(int, os.environ["MINIDL_TEST_FAKEGPU"].split(","))
    _gpu = fakegpu.install(_ForGood, _devices, _memory)
    if "MINIDL_TEST_FAKECUDNN" in os.environ:
        from tests.fakegpu import cudnn

        _ForGood.setenv = staticmethod(os.environ.__setitem__)
        _fake = cudnn.install(_ForGood, _gpu)
