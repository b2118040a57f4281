/**
 * TEAL: zeroes inputs of linear layers whose magnitude is small, so that the columns of weights they would meet are not read.
 *
 * <p>Paper: Liu et al., "Training-Free Activation Sparsity in Large Language Models", ICLR 2025 (arXiv 2408.14690). Acts on:
 * query, key, value, output, gate, up and down of every layer, when decoding; the prompt is computed in full. Needs: calibration
 * (histograms of magnitudes; for the greedy allocation also a search), but for the top-k mode with the uniform allocation.
 */
package ai.winnow.sparsity.activation.teal;
