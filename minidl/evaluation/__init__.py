"""What a trained net answers to pictures whose answer is known, and what it holds inside.

from minidl.evaluation import evaluate, opened

with opened("runs/lenet-pets", split="val") as subject:
    result = evaluate(subject, "runs/lenet-pets/evaluations/val")
print(result["top1"])
"""

from minidl.evaluation.run import evaluate
from minidl.evaluation.subject import Subject, opened

__all__ = ["Subject", "evaluate", "opened"]
