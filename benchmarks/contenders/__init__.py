"""What runs in the process of a contender; `main.py` starts it, alternate.py speaks to it.

A job is a dict: "side" names the module here, whose `work(job)` returns an `alternate.Work`; the
other keys are that module's business. Every side is given "folder" (what models.py wrote) and
"threads".
"""
