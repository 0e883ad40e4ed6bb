"""What turns a message into a net that runs."""

from minidl.net.net import Callback, Callbacks, Net
from minidl.net.of_images import NetOfImages

__all__ = ["Callback", "Callbacks", "Net", "NetOfImages"]
