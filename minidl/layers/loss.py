"""Base of losses: a scalar top, labels without gradient, and the divisor of the sum."""

from __future__ import annotations

import math
from typing import Any

from minidl.arrays.blob import Shape
from minidl.layers.base import Count, Layer


class LossLayer(Layer):
    """A layer whose top[0] is a number to be made small.

    The net puts the loss weight into `top[0].diff` before backward, so a loss multiplies its
    gradient by that as any layer does; it never looks at `loss_weight` itself.

    A loss over items of shape (outer, classes, inner) divides its sum, and its gradient, by

        FULL        outer * inner
        VALID       the number of items that are not ignored
        BATCH_SIZE  outer
        NONE        1
        PRE_FIXED   pre_fixed_normalizer

    and by 1 where that is less.
    """

    family = "loss"
    bottoms: Count = 2
    loss = True
    no_gradient: tuple[int, ...] = (1,)
    default_normalization = "VALID"
    weighs_classes = False  # whether it knows loss_param.class_weight
    scales = False  # whether it knows loss_param.scale

    def read_loss_param(self) -> None:
        """Set `ignore_label` (None where unset), `normalization`, `pre_fixed` and `class_weight`, a
        tuple, from `loss_param`.

        The old field `normalize` counts only where `normalization` is not set.
        """
        p = self.spec.loss_param
        if p.HasField("scale") and not self.scales:
            self.reject(
                "does not support scale", fix="set loss_weight instead", field="loss_param.scale"
            )
        self.class_weight = self._class_weights()
        self.ignore_label = p.ignore_label if p.HasField("ignore_label") else None
        if p.HasField("normalization"):
            modes = p.DESCRIPTOR.enum_types_by_name["NormalizationMode"].values_by_number
            self.normalization = modes[p.normalization].name
        elif p.HasField("normalize"):
            self.normalization = "VALID" if p.normalize else "BATCH_SIZE"
        else:
            self.normalization = self.default_normalization
        self.pre_fixed = p.pre_fixed_normalizer
        if not 0 < self.pre_fixed < math.inf:
            self.reject_field("loss_param.pre_fixed_normalizer", expected="a number above 0")

    def sum_over(self, outer: int, inner: int, valid: Any) -> Any:
        """Return the divisor that `normalization` names, before it is raised to at least 1: a
        number, or `valid`.

        valid   the number of items that are not ignored, or an array of shape () with it
        """
        return {
            "FULL": outer * inner,
            "VALID": valid,
            "BATCH_SIZE": outer,
            "NONE": 1,
            "PRE_FIXED": self.pre_fixed,
        }[self.normalization]

    def _class_weights(self) -> tuple[float, ...]:
        """`class_weight`, or SegNet's `class_weighting`, which another field has to turn on."""
        p, name = self.spec.loss_param, "class_weight"
        if p.weight_by_label_freqs:
            name = "class_weighting"
            if p.class_weight or not p.class_weighting:
                self.reject(
                    "has weight_by_label_freqs "
                    + ("beside class_weight" if p.class_weight else "without class_weighting"),
                    expected="a class_weighting for each class, as in SegNet's fork since 2015",
                    field="loss_param.weight_by_label_freqs",
                )
        weights = tuple(getattr(p, name))
        if weights and not self.weighs_classes:
            self.reject(f"does not support {name}", field=f"loss_param.{name}")
        for c, weight in enumerate(weights):
            if not 0 <= weight < math.inf:
                self.reject(
                    f"{name} of class {c} is {weight:g}",
                    expected="a number that is not negative",
                    field=f"loss_param.{name}",
                )
        return weights

    def fill_divisor(self, divisor: Any, outer: int, inner: int, valid: Any) -> None:
        """Set `divisor`, an array of shape (), to what to divide by, at least 1.

        valid   the number of items that are not ignored, or an array of shape () with it
        """
        number = self.sum_over(outer, inner, valid)
        if isinstance(number, (int, float)):
            divisor.fill(max(1, number))  # without valid items the loss is 0, not NaN
        else:
            self.xp.maximum(number, 1, out=divisor)

    def check_same_batch(self, bottom: Shape, other: Shape) -> None:
        """Refuse bottoms that do not begin with the same number of items."""
        if not bottom or not other or bottom[0] != other[0]:
            first, second = self.spec.bottom[:2]
            self.reject(
                f"bottoms '{first}' {bottom} and '{second}' {other} differ in their first axis",
                expected="one item of each for every item of the batch",
            )

    def check_as_many(self, *bottom: Shape) -> None:
        """Refuse bottoms that do not all have as many elements."""
        for name, shape in zip(self.spec.bottom, bottom, strict=True):
            if math.prod(shape) != math.prod(bottom[0]):
                self.reject(
                    f"'{name}' has the shape {shape}, '{self.spec.bottom[0]}' {bottom[0]}",
                    expected="as many elements in all bottoms",
                )

    def check_same_items(self, a: Shape, b: Shape) -> None:
        """Refuse bottoms that do not have as many items with as many elements each."""
        self.check_same_batch(a, b)
        if math.prod(a) != math.prod(b):
            first, second = self.spec.bottom[:2]
            self.reject(
                f"items of '{first}' {a} have {math.prod(a[1:])} elements, those of "
                f"'{second}' {b} have {math.prod(b[1:])}",
                expected="as many elements in both",
            )
