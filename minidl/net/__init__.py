"""What turns a message into a net that runs."""

from minidl.net.net import Net
from minidl.net.of_images import NetOfImages
from minidl.net.state import Callback, Callbacks

__all__ = ["Callback", "Callbacks", "Net", "NetOfImages"]
