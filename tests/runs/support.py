"""A log and the events of small runs."""

from __future__ import annotations

LOG = """\
I0210 13:39:00.500000 25210 caffe.cpp:197] Use CPU.
net: "Iteration 99 is no line of a log"
I0210 13:39:02.000000 25210 solver.cpp:289] Solving LeNet
I0210 13:39:02.250000 25210 solver.cpp:347] Iteration 0, Testing net (#0)
I0210 13:39:03.000000 25210 solver.cpp:414]     Test net output #0: accuracy = 0.1
I0210 13:39:03.000000 25210 solver.cpp:414]     Test net output #1: loss = 2.5e+00 (* 1 = 2.5 loss)
I0210 13:39:03.100000 25210 solver.cpp:347] Iteration 0, Testing net (#1)
I0210 13:39:03.200000 25210 solver.cpp:414]     Test net output #0: prob = 0.25
I0210 13:39:03.200000 25210 solver.cpp:414]     Test net output #1: prob = 0.75
I0210 13:39:04.000000 25210 solver.cpp:239] Iteration 0 (0 iter/s, 1s/100 iters), loss = 2.4
I0210 13:39:04.000000 25210 solver.cpp:258]     Train net output #0: loss = 2.4 (* 1 = 2.4 loss)
I0210 13:39:04.000000 25210 sgd_solver.cpp:112] Iteration 0, lr = 0.01
W0210 13:39:05.000000 25210 blocking_queue.cpp:49] Waiting for data
I0210 13:39:06.000000 25210 solver.cpp:239] Iteration 100 (50 iter/s, 2s/100 iters), loss = nan
I0210 13:39:06.000000 25210 solver.cpp:258]     Train net output #0: loss = nan (* 1 = nan loss)
I0210 13:39:06.000000 25210 sgd_solver.cpp:112] Iteration 100, lr = 0.005
I0210 13:39:07.000000 25210 solver.cpp:347] Iteration 200, Testing net (#0)
I0210 13:39:08.000000 25210 solver.cpp:414]     Test net output #0: accuracy = 0.9
I0210 13:39:08.000000 25210 solver.cpp:414]     Test net output #1: loss = 0.3 (* 1 = 0.3 loss)
"""

EVENTS = [
    dict(event="start", time=50.0, iter=0, net="n"),
    dict(event="test", time=51.0, iter=0, net=0, outputs={"accuracy": 0.1, "loss": 2.0}),
    dict(event="display", time=52.0, iter=0, loss=2.5, lr=0.1, outputs={"loss": None}, final=False),
    dict(event="test", time=54.0, iter=8, net=0, outputs={"accuracy": 0.9, "loss": 1.0}),
    dict(event="display", time=55.0, iter=10, loss=0.5, lr=0.01, outputs={"p": [1, [2]]}),
    dict(event="snapshot", time=55.5, iter=10, weights="w", state="s"),
    dict(event="display", time=56.0, iter=10, loss=0.4, lr=0.01, outputs={"p": 3}, final=True),
]
