"""Which engine runs a layer: what the user and the layer ask for, and the plan that results."""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from minidl.engines import Declined, Engine, Plan, Request, Wish
from minidl.engines.tuning import WAYS, bf16_gain, fastest
from minidl.errors import EngineError, MinidlError, UsageError, did_you_mean, raise_all

log = logging.getLogger("minidl")

ENGINES = ("auto", "numpy", "onednn")
MATHS = ("float32", "bf16", "bf16x3")
SLOW_BF16 = "MINIDL_SLOW_BF16"  # in the environment: bf16 even where float32 is faster
DIRECT = ("jit", "brg")  # how the names of implementations that unfold nothing begin


@dataclass(frozen=True)
class Policy:
    """What a user asks of the engines; `policy` makes one and checks it.

    engine     "auto": whichever accepts; "numpy": none; or an engine's name
    math       "float32" or "bf16": the arithmetic of the plans
    algorithm  "fastest"; "no_workspace": one that needs none; "direct": one that unfolds nothing;
               or a part of a candidate's name ("gemm", "nhwc")
    limit      bytes that the workspace of one layer may take; None: any number
    threads    for engines and BLAS
    tuning     how one of several candidates is chosen: see `minidl.engines.tuning`
    """

    engine: str = "auto"
    math: str = "float32"
    algorithm: str = "fastest"
    limit: int | None = None
    threads: int = 1
    tuning: str = "heuristic"


class Choice(NamedTuple):
    """The plan that was chosen, and whose.

    why   without a plan, why there is none; with one, how it was measured. "" if that is no news
    """

    plan: Plan | None
    engine: Engine | None
    why: str = ""


# ------------------------------------------------------------------ what is asked for


def policy(
    engine: str | None = None,
    math: str = "float32",
    algorithm: str = "fastest",
    limit: int | None = None,
    threads: int = 1,
    tuning: str = "heuristic",
) -> Policy:
    """The policy of these settings; engine None: what MINIDL_ENGINE says, else "auto".

    Where the machine cannot do the arithmetic of "bf16", says so and takes "float32".

    Errors: UsageError for values that nobody knows, all at once; EngineError for "bf16x3".
    """
    default = os.environ.get("MINIDL_ENGINE") or "auto"
    errors: list[MinidlError] = []
    for name, value, known in (
        ("engine", engine or default, ENGINES),
        ("math", math, MATHS),
        ("tuning", tuning, WAYS),
    ):
        if value not in known:
            where = "MINIDL_ENGINE" if name == "engine" and not engine else ""
            fix = did_you_mean(value, known)
            found = f"{name} is {value!r}"
            errors.append(UsageError(found, where=where, expected=", ".join(known), fix=fix))
    if limit is not None and limit < 0:
        errors.append(UsageError(f"workspace_limit is {limit}", expected="0 bytes or more"))
    if not algorithm:
        errors.append(UsageError("algorithm is empty", expected="fastest, or a part of a name"))
    raise_all(errors)
    if math == "bf16x3":
        raise EngineError(
            "math bf16x3 needs the matrix tiles of an AMX processor, and this version of minidl "
            "does not compute with them in that way",
            fix="use float32, or bf16",
        )
    made = Policy(engine or default, math, algorithm, limit, threads, tuning)
    if math == "bf16" and (why := _without_bf16(made)):
        _say(logging.WARNING, f"math bf16 is not to be had, float32 is used: {why}")
        made = Policy(made.engine, "float32", algorithm, limit, threads, tuning)
    return made


def _without_bf16(policy: Policy) -> str:
    """Why nothing here computes in bf16; "" if something does."""
    if policy.engine == "numpy":
        return "array code has no such arithmetic"
    found = _load()
    if isinstance(found, Declined):
        return found.reason
    if not found.bf16:
        return f"this machine's {found.isa} does not multiply bfloat16 numbers"
    if os.environ.get(SLOW_BF16):
        return ""
    gain = bf16_gain(found, policy.threads)
    if gain > 1:
        return ""
    return (
        f"this machine has it, but a convolution took {1 / gain:.2g} times as long as in float32 "
        f"({SLOW_BF16}=1 takes it all the same)"
    )


def engines(policy: Policy, wishes: Iterable[Wish] = ()) -> tuple[Engine, ...]:
    """The engines that may have to compute.

    Errors: EngineError for one that is asked for, by the policy or a layer, and not to be had.
    """
    wish = next((w for w in wishes if w.engine not in ("", "numpy")), None)
    if policy.engine == "numpy" and wish is None:
        return ()
    found = _load()
    if not isinstance(found, Declined):
        return (found,)
    remedy = "--engine auto computes with array code"
    if wish is not None:
        what = f"engine {wish.value} is not to be had: {found.reason}"
        raise EngineError(what, where=wish.where, fix="engine: DEFAULT takes what there is")
    if policy.engine != "auto":
        raise EngineError(f"engine {policy.engine} is not to be had: {found.reason}", fix=remedy)
    _say(logging.INFO, f"oneDNN is not here, array code computes: {found.reason}")
    return ()


def _load() -> Any:
    from minidl.engines import onednn  # here, so that choosing array code imports nothing

    return onednn.load()


@functools.cache
def _say(level: int, text: str) -> None:
    """Log a sentence, once in a process."""
    log.log(level, "%s", text)


# ------------------------------------------------------------------ what one layer gets


def asked(policy: Policy, wish: Wish) -> str:
    """The engine that a layer is to have: "auto", "numpy" or a name."""
    return wish.engine or policy.engine


def choose(
    engines: Sequence[Engine],
    op: Any,
    request: Request,
    policy: Policy,
    fits: Callable[[Plan], str] = lambda plan: "",
    wish: Wish = Wish(),  # noqa: B008  (a tuple)
) -> Choice:
    """The plan for `op`.

    fits   says for a plan why it cannot be used where it is to run; "" if it can
    """
    name = asked(policy, wish)
    if name == "numpy":
        return Choice(None, None, f"its engine is {wish.value}" if wish.engine else "")
    reasons = []
    for engine in engines:
        if name not in ("auto", engine.name):
            continue
        candidates = engine.plans(op, request)
        if isinstance(candidates, Declined):
            reasons.append(f"{engine.name}: {candidates.reason}")
            continue
        refused: dict[str, dict[str, None]] = {}  # reason -> names of candidates, each once
        allowed = _allowed(candidates, policy, fits, refused)
        plan = next(allowed, None)
        if plan is None:
            for why, names in refused.items():
                reasons.append(f"{engine.name} {', '.join(names)}: {why}")
        elif policy.tuning == "heuristic":
            return Choice(plan, engine)
        else:
            best = fastest(engine, op, request, [plan, *allowed], policy.tuning)
            return Choice(best.plan, engine, best.figures)
    return Choice(None, None, "; ".join(reasons))


def insist(wish: Wish, why: str) -> None:
    """Refuse to go on where a layer asks for an engine itself and that has no plan for it."""
    if wish.engine not in ("", "numpy"):
        raise EngineError(
            f"engine {wish.value} cannot run this layer: {why or 'it has nothing for this type'}",
            where=wish.where,
            fix="engine: DEFAULT takes another where this one cannot",
        )


def _allowed(
    candidates: Iterable[Plan],
    policy: Policy,
    fits: Callable[[Plan], str],
    refused: dict[str, dict[str, None]],
) -> Iterator[Plan]:
    """The candidates that policy and place allow; why not the others goes to `refused`."""
    for plan in candidates:
        why = _unwanted(plan, policy) or fits(plan)
        if why:
            refused.setdefault(why, {})[plan.algorithm] = None
        else:
            yield plan


def _unwanted(plan: Plan, policy: Policy) -> str:
    if policy.limit is not None and plan.workspace > policy.limit:
        return f"a workspace of {plan.workspace} bytes, and the limit is {policy.limit}"
    if policy.algorithm == "no_workspace":
        return f"a workspace of {plan.workspace} bytes" if plan.workspace else ""
    if policy.algorithm == "direct":
        return "" if plan.algorithm.startswith(DIRECT) else "not direct"
    if policy.algorithm != "fastest" and policy.algorithm not in plan.algorithm:
        return f"not {policy.algorithm}"
    return ""
