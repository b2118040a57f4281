/**
 * WINA: skips inputs of linear layers that contribute least, judged by their magnitude times the norm of the column of weights
 * they meet, after a rotation of the weights that makes this judgement exact for key and gate.
 *
 * <p>Paper: Chen et al., "WINA: Weight Informed Neuron Activation for Accelerating Large Language Model Inference", ICLR 2026
 * (arXiv 2505.19427). Acts on: query, key, value, output, gate, up and down of every layer, when decoding; the rotation on all
 * weights of a decoder with RMS norms before its blocks. Needs: nothing without rotation, in top-k mode and with the uniform
 * allocation; otherwise calibration.
 */
package ai.winnow.sparsity.activation.wina;
