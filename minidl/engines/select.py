"""The choice of engine and plan for a layer, by what the user and the layer ask for."""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from minidl import ops
from minidl.arrays.device import Device
from minidl.engines.engine import Engine
from minidl.engines.math import FLOAT32, MATHS, Math
from minidl.engines.plan import Plan
from minidl.engines.request import Declined, Request, Wish
from minidl.engines.tuning import WAYS, fastest, gain
from minidl.errors import EngineError, UsageError, did_you_mean, raise_all

log = logging.getLogger("minidl")

SLOW_BF16 = "MINIDL_SLOW_BF16"  # in the environment: bf16 even where float32 is faster


@dataclass(frozen=True)
class Policy:
    """A user's demands on the engines; `policy` makes one and checks it.

    engine     "auto": whichever accepts; "numpy": none; or an engine's name
    math       the arithmetic of the plans
    algorithm  "fastest"; "no_workspace": one that needs none; "direct": one that unfolds nothing;
               or a part of a candidate's name ("gemm", "nhwc"). On a GPU, of convolutions alone
    limit      bytes that the workspace of one layer may take; None: any number
    threads    for engines and BLAS
    tuning     how one of several candidates is chosen: see `minidl.engines.tuning`
    device     its name
    deterministic   only implementations that give the same bits in every run
    """

    engine: str = "auto"
    math: Math = FLOAT32
    algorithm: str = "fastest"
    limit: int | None = None
    threads: int = 1
    tuning: str = "heuristic"
    device: str = "cpu"
    deterministic: bool = False


class Choice(NamedTuple):
    """The plan that was chosen, and whose.

    why   without a plan, why there is none; with one, how it was measured, and which of its passes
          do without the algorithm that was asked for. "" if that is no news
    """

    plan: Plan | None
    engine: Engine | None
    why: str = ""


# ------------------------------------------------------------------ what there is


def known(kind: str = "") -> list[type[Engine]]:
    """Return the engines for a kind of device ("cpu", "cuda"; "": all), in the order of asking.

    Importing them opens no library. A net imports those of its own device only, and none for
    array code.
    """
    found: list[type[Engine]] = []
    if kind in ("", "cpu"):
        from minidl.engines.onednn import OneDNN

        found += [OneDNN]
    if kind in ("", "cuda"):
        from minidl.engines.cudnn import Cudnn
        from minidl.engines.cupy_kernels import CupyKernels

        found += [Cudnn, CupyKernels]
    return found


def names(kind: str = "") -> list[str]:
    """Return what a policy's `engine` may be on a kind of device."""
    return ["auto", "numpy", *(engine.name for engine in known(kind))]


def offered(kind: str) -> set[Math]:
    """Return the arithmetic that some engine for this kind of device offers."""
    return {math for engine in known(kind) for math in engine.maths}


# ------------------------------------------------------------------ what is asked for


def policy(
    engine: str | None = None,
    math: str = "float32",
    algorithm: str = "fastest",
    limit: int | None = None,
    threads: int = 1,
    tuning: str = "heuristic",
    device: Device | None = None,
    deterministic: bool = False,
) -> Policy:
    """Return the policy of these settings; engine None: what MINIDL_ENGINE says, else "auto".

    An engine that MINIDL_ENGINE names counts only for nets on its kind of device. Where the
    processor cannot do the arithmetic of "bf16", says so and takes "float32".

    Errors: UsageError for values that nobody knows, all at once; EngineError for what this device
    has not.
    """
    device = device or Device("cpu")
    where = ""
    if engine is None:
        engine, where = os.environ.get("MINIDL_ENGINE") or "auto", "MINIDL_ENGINE"
    rest = algorithm, limit, threads, tuning, device.name, deterministic
    made = Policy(engine, MATHS.get(math, FLOAT32), *rest)
    raise_all(list(_faults(made, math, where)))
    if engine not in ("auto", "numpy") and engine not in names(device.kind):
        if where:
            made = replace(made, engine="auto")
        else:
            raise _elsewhere(engine, device)
    if made.math is not FLOAT32 and made.math not in offered(device.kind):
        raise EngineError(
            f"math {math} is available on GPUs only, and the device is the CPU",
            fix="use float32 or bf16, or device cuda:0",
        )
    if device.kind == "cpu" and made.math is not FLOAT32 and (why := _not_worth_it(made)):
        _say(logging.WARNING, f"math {math} is not available, float32 is used: {why}")
        made = replace(made, math=FLOAT32)
    return made


def _faults(policy: Policy, math: str, where: str) -> Iterator[UsageError]:
    """Find the values that no device knows; `math` as it was given, `where` the engine was."""
    if policy.engine not in ("auto", "numpy") and policy.engine not in names():
        yield _unknown("engine", policy.engine, names(), where)
    for name, value, known in (("math", math, list(MATHS)), ("tuning", policy.tuning, WAYS)):
        if value not in known:
            yield _unknown(name, value, known)
    if policy.limit is not None and policy.limit < 0:
        yield UsageError(f"workspace_limit is {policy.limit}", expected="0 bytes or more")
    if not policy.algorithm:
        yield UsageError("algorithm is empty", expected="fastest, or a part of a name")


def _unknown(name: str, value: str, known: Sequence[str], where: str = "") -> UsageError:
    expected, fix = ", ".join(known), did_you_mean(value, known)
    return UsageError(f"{name} is {value!r}", where=where, expected=expected, fix=fix)


def _elsewhere(engine: str, device: Device) -> EngineError:
    return EngineError(
        f"engine {engine} does not compute on {device.name}",
        expected=", ".join(names(device.kind)),
        fix="choose another device, or --engine auto",
    )


def _not_worth_it(policy: Policy) -> str:
    """Say why nothing on this CPU computes in that arithmetic, or faster; "" if something does."""
    if policy.engine == "numpy":
        return "array code has no such arithmetic"
    (kind,) = known("cpu")
    found = kind.load(Device("cpu"))
    if isinstance(found, Declined):
        return found.reason
    if policy.math not in found.maths:
        return f"this machine's {found.isa} does not multiply {policy.math.products} numbers"
    if found.surely_faster(policy.math) or os.environ.get(SLOW_BF16):
        return ""
    times = gain(found, policy.math, policy.threads)
    if times > 1:
        return ""
    return (
        f"this machine has it, but a convolution took {1 / times:.2g} times as long as in float32 "
        f"({SLOW_BF16}=1 uses it nevertheless)"
    )


def say_of_float64(policy: Policy) -> None:
    """Warn that a net of float64 runs in array code, if something else was asked for by name."""
    asked = [f"engine {policy.engine}"] if policy.engine not in ("auto", "numpy") else []
    asked += [f"math {policy.math}"] if policy.math is not FLOAT32 else []
    if asked:
        _say(
            logging.WARNING,
            f"{' and '.join(asked)} applies to float32 nets: a float64 net runs in array code; "
            "leave out dtype to use it",
        )


def engines(policy: Policy, wishes: Iterable[Wish] = ()) -> tuple[Engine, ...]:
    """Return the engines that may have to compute, in the order in which they are asked.

    Errors: EngineError for one that the policy or a layer asks for and that is not available.
    """
    device = Device(policy.device)
    named = {w.engine: w for w in wishes if w.engine not in ("", "numpy") and not w.soft}
    if policy.engine == "numpy" and not named:
        return ()
    found = []
    for kind in known(device.kind):
        engine = kind.load(device)
        if not isinstance(engine, Declined):
            found.append(engine)
            continue
        if wish := named.get(kind.name):
            what = f"engine {wish.value} is not available: {engine.reason}"
            raise EngineError(
                what, where=wish.where, fix="engine: DEFAULT takes whatever is available"
            )
        if policy.engine == kind.name:
            remedy = "--engine auto computes with whatever is available"
            raise EngineError(f"engine {kind.name} is not available: {engine.reason}", fix=remedy)
        others = "our own kernels compute" if device.kind == "cuda" else "array code computes"
        _say(logging.INFO, f"{kind.title} is not available, {others}: {engine.reason}")
    return tuple(found)


@functools.cache
def _say(level: int, text: str) -> None:
    """Log a sentence, once in a process."""
    log.log(level, "%s", text)


# ------------------------------------------------------------------ what one layer gets


def asked(policy: Policy, wish: Wish) -> str:
    """Return the engine that a layer is to have: "auto", "numpy" or a name."""
    return wish.engine or policy.engine


def choose(
    engines: Sequence[Engine],
    op: Any,
    request: Request,
    policy: Policy,
    fits: Callable[[Plan], str] = lambda plan: "",
    wish: Wish = Wish(),  # noqa: B008  (a tuple)
) -> Choice:
    """Choose the plan for `op`.

    fits   says for a plan why it cannot be used where it is to run; "" if it can
    """
    name = asked(policy, wish)
    if name == "numpy":
        return Choice(None, None, f"its engine is {wish.value}" if wish.engine else "")
    reasons = []
    for engine in _in_turn(engines, op, policy, name):
        # A named engine alone is asked, unless the wish is soft: then others may step in.
        if name not in ("auto", engine.name) and not wish.soft:
            continue
        candidates = engine.plans(op, request)
        if isinstance(candidates, Declined):
            if candidates.reason:
                reasons.append(f"{engine.name}: {candidates.reason}")
            continue
        refused: dict[str, dict[str, None]] = {}  # reason -> names of candidates, each once
        allowed = _allowed(engine, candidates, _about(op, policy), fits, refused)
        # Candidates are lazy: without tuning, only the first one that is allowed is ever made.
        plan = next(allowed, None)
        if plan is None:
            for why, names in refused.items():
                reasons.append(f"{engine.name} {', '.join(names)}: {why}")
        elif policy.tuning == "heuristic":
            return Choice(plan, engine, _notes(plan))
        else:
            best = fastest(engine, op, request, [plan, *allowed], policy.tuning)
            return Choice(
                best.plan, engine, "; ".join(filter(None, [best.figures, _notes(best.plan)]))
            )
    return Choice(None, None, "; ".join(reasons))


def insist(wish: Wish, why: str) -> None:
    """Raise EngineError if the layer's `engine` field names an engine that has no plan for it."""
    if wish.engine not in ("", "numpy") and not wish.soft:
        raise EngineError(
            f"engine {wish.value} cannot run this layer: {why or 'it has nothing for this type'}",
            where=wish.where,
            fix="engine: DEFAULT takes another where this one cannot",
        )


def _in_turn(engines: Sequence[Engine], op: Any, policy: Policy, name: str) -> list[Engine]:
    """Sort engines: the one of that name first; by default the one that prefers this op."""

    def later(engine: Engine) -> bool:
        return not engine.prefers(op, policy.math) if name == "auto" else engine.name != name

    return sorted(engines, key=later)


def _about(op: Any, policy: Policy) -> Policy:
    """Return the policy for this op: on a GPU, only convolutions have algorithms, as in Caffe."""
    if policy.device == "cpu" or isinstance(op, ops.Conv):
        return policy
    return replace(policy, algorithm="fastest")


def _allowed(
    engine: Engine,
    candidates: Iterable[Plan],
    policy: Policy,
    fits: Callable[[Plan], str],
    refused: dict[str, dict[str, None]],
) -> Iterator[Plan]:
    """Yield the candidates that policy and place allow; note in `refused` why not the others."""
    for plan in candidates:
        why = _unwanted(engine, plan, policy) or fits(plan)
        if why:
            refused.setdefault(why, {})[plan.algorithm] = None
        else:
            yield plan


def _unwanted(engine: Engine, plan: Plan, policy: Policy) -> str:
    if policy.limit is not None and plan.workspace > policy.limit:
        return f"a workspace of {plan.workspace} bytes, and the limit is {policy.limit}"
    if policy.algorithm == "no_workspace":
        return f"a workspace of {plan.workspace} bytes" if plan.workspace else ""
    if plan.obeys:
        return ""
    if policy.algorithm == "direct":
        return "" if plan.algorithm.startswith(engine.direct) else "not direct"
    if policy.algorithm != "fastest" and policy.algorithm not in plan.algorithm:
        return f"not {policy.algorithm}"
    return ""


def _notes(plan: Plan) -> str:
    """Return what a plan says of its passes, in one line."""
    return "; ".join(f"{name} by {said}" for name, said in plan.notes.items())
