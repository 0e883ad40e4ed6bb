"""Nets that answer with pictures: how close these come to what they should be."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.evaluation import measures, pictures, restore
from minidl.evaluation.records import decimal, guarded
from minidl.evaluation.restore import Restorer
from minidl.evaluation.subject import Batch, Subject

ONE = 1.5  # the largest number of an array from 0 to 1, with some room


class Pictures:
    """Compares answers with targets, in pixels from 0 to 255.

    Denoising has an input of the target's size: then the PSNR of the input counts, too.
    """

    kept: tuple[str, ...] = ("png", "output_png", "target_png")

    def __init__(self, subject: Subject) -> None:
        self._subject, self._picture = subject, subject.picture
        self._same = subject.task.source == subject.top  # the target is the input
        if self._same:
            self.kept = ("png", "output_png")
        self._restore: tuple[Restorer, Restorer] | None = None
        self._errors = self._psnr = self._input = 0.0
        self._compared = self._records = 0
        self._with_input = 0

    @property
    def columns(self) -> list[str]:
        return ["index", "name", "psnr", "input_psnr", "loss"]

    @property
    def dtype(self) -> list[Any]:
        return [("psnr", "<f4"), ("input_psnr", "<f4"), ("loss", "<f4")]

    def add(self, batch: Batch) -> tuple[list[list[str]], np.ndarray, dict[str, np.ndarray]]:
        """Count a batch; return its rows, their numbers, and its pictures by name."""
        values = restore.sigmoid(batch.output) if self._subject.task.then else batch.output
        values = restore.planes(values, self._picture)
        seen, aim = self._restorers(batch)
        output = aim(values)
        shown = {"output_png": pictures.to_bytes(output)}
        numbers = np.full(len(values), np.nan, self.dtype)
        if batch.seen is not None:
            seen_pixels = seen(batch.seen)
            shown["png"] = pictures.to_bytes(seen_pixels)
        if batch.truth is not None:
            target = aim(restore.planes(batch.truth.reshape(values.shape), self._picture))
            shown["target_png"] = pictures.to_bytes(target)
            numbers["loss"] = measures.squared_error(output, target)
            numbers["psnr"] = measures.psnr(numbers["loss"])
            if batch.seen is not None and not self._same and seen_pixels.shape == target.shape:
                numbers["input_psnr"] = measures.psnr(measures.squared_error(seen_pixels, target))
        self._count(numbers)
        rows = [
            [str(batch.first + i), guarded(batch.names[i]), *map(decimal, numbers[i].tolist())]
            for i in range(len(values))
        ]
        return rows, numbers, shown

    def result(self) -> dict[str, Any]:
        """Return the means: `psnr` in dB, `loss`, the squared error of a pixel."""
        compared, with_input = self._compared, self._with_input
        return {
            "psnr": self._psnr / compared if compared else None,
            "input_psnr": self._input / with_input if with_input else None,
            "loss": self._errors / compared if compared else None,
        }

    def _count(self, numbers: np.ndarray) -> None:
        known = ~np.isnan(numbers["loss"])
        self._compared += int(known.sum())
        self._errors += float(numbers["loss"][known].astype(np.float64).sum())
        self._psnr += float(numbers["psnr"][known].astype(np.float64).sum())
        given = ~np.isnan(numbers["input_psnr"])
        self._with_input += int(given.sum())
        self._input += float(numbers["input_psnr"][given].astype(np.float64).sum())

    def _restorers(self, batch: Batch) -> tuple[Restorer, Restorer]:
        """Return what makes pixels of inputs, and of outputs and targets."""
        if self._restore is None:
            factor, known = 1.0, batch.truth if batch.truth is not None else batch.seen
            if self._subject.origin.kind == "hdf5" and known is not None:
                factor = 255.0 if np.abs(known).max(initial=0) <= ONE else 1.0
            own = self._subject.transforms
            first, rgb = own[self._subject.top], self._subject.rgb
            aim = own.get(self._subject.task.source, first)
            self._restore = Restorer(first, factor, rgb), Restorer(aim, factor, rgb)
        return self._restore
