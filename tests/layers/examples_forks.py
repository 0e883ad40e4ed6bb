"""Examples of the layer types that forks of Caffe added; examples.py takes them in."""

IMAGES = (2, 3, 6, 5)
GAUSSIAN = dict(type="gaussian", std=1)
TEST = 1  # schema.TEST
FIXED = dict(pre_fixed_normalizer=1.5)


def example(*shapes, **keywords):
    return shapes, {"bottoms": len(shapes), **keywords}


FORKS = {
    "AccuracyRegression": {"": example((3, 4, 2), (3, 8))},
    "AngleLoss": {"": example((2, 3, 4, 5), (2, 3, 4, 5)), "flat": example((2, 12), (2, 12))},
    "Axpy": {
        "": example((2, 3), IMAGES, IMAGES),
        "1 x 1": example((2, 3, 1, 1), (2, 3, 4), (2, 3, 4)),
    },
    "BoxAnnotatorOHEM": {
        "": example((7, 5), (7, 1, 1, 1), (7,), (7, 8), roi_per_img=2),
        "places": example((4, 5, 2, 1), (4, 1, 2, 1), (4, 2), (4, 3, 2, 1), roi_per_img=3),
    },
    "BN": {
        "SegNet": example(IMAGES, scale_filler=GAUSSIAN),
        "SegNet, with statistics": example(IMAGES, scale_filler=GAUSSIAN, tops=3),
        "SegNet, folded": example(IMAGES, bn_mode="INFERENCE"),
        "PSPNet": example(IMAGES, slope_filler=GAUSSIAN, momentum=0.75),
        "PSPNet, frozen": example(IMAGES, frozen=True, eps=0.5),
    },
    "ConvolutionDepthwise": {"": example(IMAGES, num_output=3, kernel_size=3, pad=1, stride=2)},
    "ContinuationIndicator": {"": example(time_step=3, batch_size=2)},
    "CosinAddm": {
        "": example((4, 5), (4,)),
        "testing": example((4, 5), (4,), phase=TEST),
        "testing, too": example((4, 5), (4, 1), m=0.3, transform_test=True, phase=TEST),
    },
    "CtcLoss": {
        "": example((5, 3, 4), (3, 2), alphabet_size=4, time_step=5),
        "blank last": example((4, 2, 3), (2, 3), alphabet_size=3, time_step=4, blank_label=2),
    },
    "CropCenter": {"": example((2, 4, 7, 6), crop_size=[0, 1, 2, 2])},
    "DepthwiseConvolution": {
        "": example(IMAGES, num_output=3, kernel_size=3, group=3, bias_term=False),
        "two filters each": example(IMAGES, num_output=6, kernel_size=2, group=3),
    },
    "DecodeBBox": {
        "": example((4, 8), (4, 5), (4, 6), gt_iou_thr=0.5),
        "testing": example((4, 8, 1, 1), (4, 5, 1, 1), phase=TEST),
    },
    "DetectNetTransformation": {
        "": example(
            (2, 3, 30, 50), (2, 1, 4, 16), image_size_x=48, image_size_y=32, max_cvg_len=20
        ),
        "testing": example(
            (2, 3, 9, 8), (2, 1, 3, 16), image_size_x=12, image_size_y=8, phase=TEST
        ),
    },
    "DetectionOutput": {
        "": example(
            (2, 20, 1, 1), (2, 15), (1, 2, 20), num_classes=3, keep_top_k=4, code_type="CENTER_SIZE"
        ),
        "offsets by class": example(
            (2, 60), (2, 15), (1, 2, 20), num_classes=3, share_location=False
        ),
    },
    "FocalLoss": {
        "": example((4, 5), (4,)),
        "pixels": example((2, 4, 3), (2, 3), tops=2, ignore_label=1, gamma=0.5, alpha=2),
    },
    "Flip": {
        "left and right": example(IMAGES),
        "both": example(IMAGES, flip_height=True),
    },
    "HardSwish": {"": example((4, 3, 6, 5))},
    "Interp": {
        "size": example(IMAGES, height=9, width=4),
        "zoom": example(IMAGES, zoom_factor=3, pad_beg=-1),
        "shrink": example(IMAGES, shrink_factor=2),
    },
    "LabelDropout": {
        "": example(IMAGES, IMAGES, hard_ratio=0.5, rand_ratio=0.5, drop_neg_ratio=0.5),
        "all": example((2, 3, 10), (2, 3, 5, 2), drop_neg_ratio=90),
    },
    "Local": {
        "": example(IMAGES, num_output=4, kernel_size=3, stride=2, pad=1),
        "no bias": example(IMAGES, num_output=2, kernel_size=2, bias_term=False),
    },
    "L1Loss": {"": example((4, 3, 2), (4, 6))},
    "LabelsequenceAccuracy": {"": example((4, 5, 3), (4, 2))},
    "Lstm": {
        "": example((4, 2, 3), num_output=3),
        "continued": example((4, 2, 3), (4, 2), num_output=2),
    },
    "MultiBoxLoss": {
        "": example((2, 40), (2, 30), (1, 2, 40), (1, 1, 4, 8), num_classes=3),
        "logistic": example(
            *((2, 40), (2, 30), (1, 2, 40), (1, 1, 4, 8)),
            **dict(num_classes=3, conf_loss_type="LOGISTIC", loc_loss_type="L2", loc_weight=2),
        ),
    },
    "MultiSoftmaxLoss": {
        "": example((2, 3, 4, 5), (2, 4, 5), scale=0.5),
        "weighted": example(
            *((2, 3, 4), (2, 4)),
            **dict(class_weighting=[2, 1, 0.5], weight_by_label_freqs=True, ignore_label=2),
        ),
    },
    "Norm": {"": example(IMAGES), "vectors": example((4, 3))},
    "MultiStageMeanfield": {
        "": example(
            *((2, 3, 4, 5), (2, 3, 4, 5), (2, 3, 4, 5)),
            **dict(num_iterations=3, theta_alpha=4, theta_beta=2, theta_gamma=1.5),
        ),
    },
    "NormL2": {"": example(IMAGES)},
    "Normalize": {
        "images": example(IMAGES, scale_filler=GAUSSIAN, eps=0.5),
        "pixels": example(IMAGES, across_spatial=False, channel_shared=False),
        "caffe-windows": example(IMAGES, tops=2, bp_norm=True),
        "caffe-windows, L1": example((2, 3), normalize_type="L1"),
    },
    "Permute": {
        "last channels": example(IMAGES, order=[0, 2, 3, 1]),
        "the first only": example((2, 3, 4), order=[2]),
    },
    "PriorBox": {
        "": example(IMAGES, (2, 3, 60, 51), min_size=[7, 12], max_size=[9, 20], aspect_ratio=[2]),
    },
    "Proposal": {
        "": example(
            *((1, 6, 4, 5), (1, 12, 4, 5), (1, 3)),
            **dict(tops=2, scale=2, post_nms_topn=9, nms_thresh=0.4),
        ),
    },
    "PSROIPooling": {
        "": example((2, 18, 6, 5), (4, 5), spatial_scale=0.5, output_dim=2, group_size=3),
    },
    "ROIAlign": {
        "": example(IMAGES, (4, 5), pooled_h=2, pooled_w=3, spatial_scale=0.5),
        "two samples": example(IMAGES, (4, 5, 1, 1), pooled_h=3, pooled_w=2, sampling_ratio=2),
    },
    "ROIPooling": {"": example(IMAGES, (4, 5), pooled_h=2, pooled_w=3, spatial_scale=0.5)},
    "ReLU6": {"": example(IMAGES)},
    "Reverse": {"": example((3, 2, 4)), "columns": example(IMAGES, axis=-1)},
    "ShuffleChannel": {"": example((2, 6, 3, 2), group=3), "one group": example((2, 4), group=1)},
    "Resize": {
        "size": example(IMAGES, height=9, width=4),
        "factors": example(IMAGES, is_pyramid_test=True, out_height_scale=0.5, out_width_scale=1.5),
    },
    "SpatialPyramidPooling": {
        "maxima": example((2, 3, 7, 6), spatial_bin=[1, 2, 3]),
        "means": example(IMAGES, spatial_bin=[2, 5], pool="AVE"),
        "one level": example(IMAGES, spatial_bin=[3]),
    },
    "TopK": {"": example((3, 4, 2), k=3), "testing": example((3, 8), k=3, a=2, phase=1)},
    "AnchorTarget": {
        "": example((1, 2, 4, 5), (2, 5), (1, 3), tops=4, scale=[1, 2], batch_size=20),
        "pixels": example((1, 2, 3, 3), (1, 4), (1, 3), (1, 3, 48, 48), tops=4, scale=[1]),
    },
    "NormalizedMSE": {"": example((3, 6), (3, 6)), "maps": example((2, 5, 1), (2, 1, 5))},
    "SpatialDropout": {
        "testing": example(IMAGES, phase=1),
        "scaled": example(IMAGES, phase=1, scale_test=True),
    },
    "SmoothL1Loss": {
        "": example((4, 3, 2), (4, 6)),
        "weighted": example((4, 6), (4, 6), (4, 6), (4, 6), sigma=3),
    },
    "SmoothL1LossOHEM": {
        "": example((4, 3, 2, 1), (4, 6), tops=2),
        "weighted": example((4, 6), (4, 6), (4, 6), normalization="PRE_FIXED", **FIXED),
    },
    "SoftmaxWithLossOHEM": {
        "": example((4, 5), (4,), tops=3),
        "pixels": example((2, 4, 3), (2, 3), tops=2, ignore_label=1),
        "fixed": example((4, 5), (4, 1, 1, 1), tops=3, normalization="PRE_FIXED", **FIXED),
    },
    "TextProposal": {"": example((1, 20, 2, 3), (1, 20, 2, 3), (1, 2), tops=2)},
    "Transpose": {"": example((2, 3, 4), dim=[2, 0, 1])},
    "Upsample": {
        "": example((2, 3, 2, 3), (2, 3, 2, 3), pad_out_h=True),
        "size": example((2, 3, 2, 3), (2, 3, 2, 3), upsample_h=5, upsample_w=7),
    },
}

# Types of which a part runs on the host: a GPU is waited for in every pass, which therefore cannot
# be recorded as a CUDA graph.
ON_HOST = {
    "AnchorTarget": "boxes are compared there",
    "BoxAnnotatorOHEM": "losses are compared there",
    "CtcLoss": "paths are added up there",
    "LabelsequenceAccuracy": "sequences are compared there",
    "DecodeBBox": "boxes are moved there",
    "DetectNetTransformation": "pictures are changed there",
    "DetectionOutput": "boxes are compared there",
    "LabelDropout": "places are drawn there",
    "MultiBoxLoss": "boxes are compared there",
    "Proposal": "boxes are compared there",
    "MultiStageMeanfield": "the lattice is there",
    "PSROIPooling": "the regions are read there",
    "ROIAlign": "the regions are read there",
    "ROIPooling": "the regions are read there",
}
