"""Compile minidl.proto into minidl.desc, beside it: `python proto/build.py`.

Needs grpcio-tools, which brings protoc; nothing else of minidl does.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent


def compiled() -> bytes:
    """The serialized FileDescriptorSet of minidl.proto, with its comments."""
    from grpc_tools import protoc

    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "minidl.desc"
        status = protoc.main(
            [
                "protoc",
                f"--proto_path={HERE}",
                f"--descriptor_set_out={out}",
                "--include_source_info",
                "minidl.proto",
            ]
        )
        if status != 0:
            raise SystemExit(status)
        return out.read_bytes()


if __name__ == "__main__":
    data = compiled()
    (HERE / "minidl.desc").write_bytes(data)
    sys.stdout.write(f"wrote {HERE / 'minidl.desc'}, {len(data)} bytes\n")
