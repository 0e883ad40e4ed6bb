"""How fast minidl is, beside others on the same machine in the same minutes: `make bench`.

    python benchmarks/run.py                        every row; about a quarter of an hour
    python benchmarks/run.py --list                 what there is
    python benchmarks/run.py --only lenet-float32   one group of rows
    python benchmarks/data.py                       how fast data sets are read, on its own
    python benchmarks/real_files.py                 what becomes of 427 real nets and solvers

    rows.py         what is compared with what, and the goals
    race.py         one comparison: check that all compute the same, then time them in turns
    alternate.py    the process behind each contender, and the protocol it is spoken to in
    contenders/     what runs in those processes: minidl, PyTorch, OpenCV, matrix products, files
    nets.py         the nets as minidl's messages, their inputs; models.py writes their weights
    verdict.py      from times to ratios, spread and goals;  report.py prints and writes them
    machine.py      what the figures were measured on, and who else was using it

The program that conducts the races never imports minidl, NumPy or PyTorch: minidl sets variables
(OMP_WAIT_POLICY) that PyTorch's processes would otherwise inherit.
"""
