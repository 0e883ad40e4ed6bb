"""Where numbers live: devices, memory, blobs, random streams."""
