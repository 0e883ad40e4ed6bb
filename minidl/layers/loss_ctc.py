"""Sequences of letters from steps that nobody aligned with them: the `CtcLoss` layer."""

from __future__ import annotations

import logging

import numpy as np

from minidl.errors import LabelError
from minidl.layers.base import register, saved
from minidl.layers.loss import LossLayer

log = logging.getLogger("minidl")


@register("CtcLoss")
class CtcLoss(LossLayer):
    r"""The surprise at a sequence of labels, however they are spread over the steps of a net.

    A path has a class at each of the T steps; it reads as what is left of it when repetitions are
    taken for one and blanks left out. With p the softmax of the scores of each step,

        loss = -sum(log(sum of the probabilities of all paths that read as the labels)) / N
        dx   = w * (p - share) / N

    where w is the gradient of the loss, its loss weight, and share how probable each class is at
    each step among those paths.

    bottom[0]        scores: (T, N, C)
    bottom[1]        labels: (N, L), whole numbers; blanks are left out, wherever they stand
    top[0]           the loss, shape ()
    ctc_loss_param   alphabet_size: C; time_step: T; both required. blank_label (0)

    A row of L labels, r of which equal the one before, needs T >= L + r; one that needs more is
    refused. It is computed on the host, in float64: a GPU is waited for in every pass.

    Difference from Caffe: the fork reports the mean over the sequences, but hands down N times its
    gradient. Here the gradient is that of the loss; with loss_weight: N a solver of the fork's
    takes the same steps. The log says so.

    Source: Graves, Fernandez, Gomez & Schmidhuber 2006, section 4; yalecyu/crnn.caffe.
    """

    fork = "yalecyu/crnn.caffe"
    parameters = ("ctc_loss_param",)

    def __init__(self, spec, ctx):
        super().__init__(spec, ctx)
        p = spec.ctc_loss_param
        self.classes, self.steps, self.blank = p.alphabet_size, p.time_step, p.blank_label
        self.check_positive("ctc_loss_param", "alphabet_size", "time_step")
        if not 0 <= self.blank < self.classes:
            self.reject(
                f"blank_label is {self.blank}, alphabet_size {self.classes}",
                expected="a blank_label that is one of the classes",
                field="ctc_loss_param.blank_label",
            )
        if ctx.training:
            log.info(
                "%s: its gradient is that of the mean over the sequences; the fork's is N times "
                "that, which loss_weight: N gives",
                self.where,
            )

    def top_shapes(self, scores, labels):
        first, second = self.spec.bottom
        if len(scores) != 3 or scores[::2] != (self.steps, self.classes) or 0 in scores:
            self.reject(
                f"'{first}' is {scores}",
                expected=f"({self.steps}, N, {self.classes}): time_step, sequences, alphabet_size",
            )
        if len(labels) != 2 or labels[0] != scores[1]:
            self.reject(
                f"'{second}' is {labels}, '{first}' {scores}",
                expected=f"({scores[1]}, L): a row of labels for each sequence",
            )
        return ((),)

    def buffers(self, scores, labels):
        return {"gradient": saved(scores)}

    def sample_bottoms(self, shapes, rng):
        letters = [c for c in range(self.classes) if c != self.blank]
        rows = rng.choice([self.blank, *letters], size=shapes[1]).astype(np.float64)
        rows[:, self.steps // 2 :] = self.blank  # what is left can be read
        return [rng.standard_normal(shapes[0]), rows]

    def forward(self, bottom, top):
        scores, labels = (self.ctx.device.to_host(blob.data) for blob in bottom)
        words = [self._word(n, row) for n, row in enumerate(labels)]
        with np.errstate(invalid="ignore"):  # scores that are no numbers make a loss that is none
            losses, gradient = ctc(scores.astype(np.float64), words, self.blank)
        self.ctx.device.write(top[0].data, losses.mean())
        self.ctx.device.write(self.gradient, gradient / len(losses))

    def backward(self, top, wanted, bottom):
        self.xp.multiply(self.gradient, top[0].diff, out=bottom[0].diff)

    def _word(self, n, row):
        """Return the labels of sequence n without blanks; refuse labels that no path can be read
        as."""
        wrong = ~np.isin(row, np.arange(self.classes))
        if wrong.any():
            value = float(row[np.argmax(wrong)])
            raise LabelError(
                f"label ({n}, {np.argmax(wrong)}) of '{self.spec.bottom[1]}' is {value:g}",
                where=self.where,
                expected=f"a whole number from 0 to {self.classes - 1}; {self.blank} for none",
                item=n,
                value=value,
            )
        word = row[row != self.blank].astype(int)
        repeated = int((word[1:] == word[:-1]).sum())
        if len(word) + repeated > self.steps:
            raise LabelError(
                f"sequence {n} of '{self.spec.bottom[1]}' has {len(word)} labels, {repeated} of "
                f"which equal the one before, for {self.steps} steps",
                where=self.where,
                expected="a step for each label, and one for the blank between equal ones",
                fix="shorter labels, or a net with more steps",
                item=n,
                value=float(len(word)),
            )
        return word


def ctc(scores, words, blank):
    """Return the loss of each sequence, (N), and the gradient of their sum, (T, N, C).

    scores   (T, N, C), float64
    words    N arrays of labels, without blanks

    Forward and backward in logarithms, over the places of words with blanks around all labels.
    """
    steps, count, _ = scores.shape
    log_p = scores - scores.max(axis=2, keepdims=True)  # less the largest: exp cannot overflow
    log_p -= np.log(np.exp(log_p).sum(axis=2, keepdims=True))
    lengths, items = np.array([len(word) for word in words]), np.arange(count)
    places = np.full((count, 2 * lengths.max() + 1), blank)
    for n, word in enumerate(words):
        places[n, 1 : 2 * len(word) : 2] = word
    skips = np.zeros(places.shape, bool)  # the place may follow the one two before it
    skips[:, 2:] = (places[:, 2:] != blank) & (places[:, 2:] != places[:, :-2])
    # (T, N, places): the log probability of each place's label.
    here = np.take_along_axis(log_p, np.broadcast_to(places, (steps, *places.shape)), axis=2)
    alpha, beta = np.full_like(here, -np.inf), np.full_like(here, -np.inf)
    alpha[0, :, :2] = here[0, :, :2]  # a path begins with a blank or the first label
    alpha[0, lengths == 0, 1:] = -np.inf
    for t in range(1, steps):
        alpha[t] = here[t] + _reach(alpha[t - 1], skips)
    last, before = 2 * lengths, np.maximum(2 * lengths - 1, 0)
    beta[-1, items, last] = here[-1, items, last]  # and ends with a blank or the last label
    beta[-1, items, before] = here[-1, items, before]
    for t in reversed(range(steps - 1)):
        # Backward is forward with the places turned around, and the skips with them.
        turned = np.concatenate([np.zeros((count, 2), bool), skips[:, :1:-1]], axis=1)
        beta[t] = here[t] + _reach(beta[t + 1][:, ::-1], turned[:, : places.shape[1]])[:, ::-1]
    ends = np.where(lengths > 0, alpha[-1, items, before], -np.inf)
    total = np.logaddexp(alpha[-1, items, last], ends)
    gradient = np.exp(log_p)
    share = np.exp(alpha + beta - here - total[:, None])  # `here` is in alpha and in beta
    for s in range(places.shape[1]):
        gradient[:, items, places[:, s]] -= share[:, :, s]
    return -total, gradient


def _reach(before, skips):
    """Return the logarithm of what comes to each place: from itself, from the one before, and where
    `skips` says so from two before. `before` and `skips`: (N, S)."""
    result = before.copy()
    result[:, 1:] = np.logaddexp(result[:, 1:], before[:, :-1])
    two = np.where(skips[:, 2:], before[:, :-2], -np.inf)
    result[:, 2:] = np.logaddexp(result[:, 2:], two)
    return result
