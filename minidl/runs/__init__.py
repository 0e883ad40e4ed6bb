"""The files that a run leaves behind: written here, and read again.

    job          what a folder is for, and what has become of it
    processes    processes of this machine, told apart
    store        the files of a run's folder, and which of them to take
    events       events.jsonl: the events of a run, written and read as dataclasses
    caffe_log    logs of Caffe and minidl, read
    record       the figures in either
    glog         the format of a log's lines

Nothing here needs NumPy or protobuf, so a web page can be built on it.
"""
