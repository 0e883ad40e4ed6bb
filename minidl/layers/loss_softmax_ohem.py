"""Classification that says how wrong each item is: the `SoftmaxWithLossOHEM` layer."""

from __future__ import annotations

from minidl.layers.base import register, scratch
from minidl.layers.loss_softmax import SoftmaxWithLoss


@register("SoftmaxWithLossOHEM")
class SoftmaxWithLossOHEM(SoftmaxWithLoss):
    r"""SoftmaxWithLoss that also tells what each item adds, for BoxAnnotatorOHEM to choose by it.

    With p, t and n as for SoftmaxWithLoss,

        item = -log(max(p[t], FLT_MIN))     (0 for ignored items)
        loss = sum(item) / n
        dx   = (w / n + ditem) * (p - (1 where c is t))

    bottom[0]       scores: (N, C), or with a label for each pixel (N, C, H, W)
    bottom[1]       labels: whole numbers, (N) or (N, 1, H, W) or any shape of as many elements
    top[0]          the loss, shape ()
    top[1]          optional: p, the shape of bottom[0]
    top[2]          optional: item, the shape of bottom[1]
    softmax_param   as for SoftmaxWithLoss
    loss_param      as for SoftmaxWithLoss

    Gradients of top[1] and top[2] are not read in the fork; here they are added.

    Source: Dai, Li, He & Sun 2016 (R-FCN), section 3; the layer is that of intel/caffe, R-FCN's own
    fork has it as SoftmaxWithLoss.
    """

    fork = "intel/caffe; in R-FCN's own fork SoftmaxWithLoss"
    computes = ()
    tops = (1, 3)
    weighs_classes = False

    def __init__(self, spec, ctx):
        super().__init__(spec, ctx)
        self.op = None  # engines have no third top

    def top_shapes(self, scores, labels):
        return (*super().top_shapes(scores, labels), labels)[: max(1, len(self.spec.top))]

    def buffers(self, scores, labels):
        outer, _, inner = self.fold_scores(scores, labels)
        pull = {"item_pull": scratch((outer, 1, inner))} if len(self.spec.top) > 2 else {}
        return {**super().buffers(scores, labels), **pull}

    def forward(self, bottom, top):
        super().forward(bottom, top)
        if len(top) > 2:
            item = top[2].data.reshape(self.row.shape)
            self.xp.negative(self.row, out=item)  # where `measure` left what each item adds

    def pull(self, top):
        if len(top) < 3:
            return self.share
        self.xp.add(top[2].diff.reshape(self.item_pull.shape), self.share, out=self.item_pull)
        return self.item_pull
