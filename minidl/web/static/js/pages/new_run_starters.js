// Small nets to begin with where the zoo has none: those that answer with pictures.

/** @param {number} outputs @param {string} loss @param {boolean} scaled whether targets are pictures */
function convolutions(outputs, loss, scaled) {
  const scale = "  transform_param { scale: 0.00390625 }\n";
  const data = (/** @type {string} */ name, /** @type {boolean} */ small) =>
    `layer {\n  name: "${name}"\n  type: "Data"\n  top: "${name}"\n${small ? scale : ""}  data_param { batch_size: 16 }\n}\n`;
  const layer = (
    /** @type {string} */ name,
    /** @type {string} */ bottom,
    /** @type {number} */ count,
  ) =>
    `layer {\n  name: "${name}"\n  type: "Convolution"\n  bottom: "${bottom}"\n  top: "${name}"\n  convolution_param {\n    num_output: ${count}\n    kernel_size: 5\n    pad: 2\n    weight_filler { type: "msra" }\n  }\n}\n`;
  const relu = (/** @type {number} */ i) =>
    `layer {\n  name: "relu${i}"\n  type: "ReLU"\n  bottom: "conv${i}"\n  top: "conv${i}"\n}\n`;
  return [
    data("input", true),
    data("target", scaled),
    layer("conv1", "input", 24),
    relu(1),
    layer("conv2", "conv1", 24),
    relu(2),
    layer("output", "conv2", outputs),
    `layer {\n  name: "loss"\n  type: "${loss}"\n  bottom: "output"\n  bottom: "target"\n  top: "loss"\n}\n`,
  ].join("");
}

/** Nets for a data set of pairs. @param {any} facts dataset.json, or nothing */
export const starters = (facts) => [
  {
    title: "Denoising, three convolutions",
    text: `name: "Denoising"\n# Adam with a rate of 0.001 gets there quickly.\n${convolutions(facts?.target_channels || 1, "EuclideanLoss", true)}`,
  },
  {
    title: "Segmentation, three convolutions",
    text: `name: "Segmentation"\n# Adam with a rate of 0.001 gets there quickly.\n${convolutions(Math.max(2, facts?.labels?.length ?? 2), "SoftmaxWithLoss", false)}`,
  },
];
