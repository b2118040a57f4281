/**
 * CATS: zeroes small outputs of the gate of feed-forward networks, so that most rows of up and columns of down are not read.
 *
 * <p>Paper: Lee et al., "CATS: Contextually-Aware Thresholding for Sparsity in Large Language Models", COLM 2024 (arXiv
 * 2404.08763). Acts on: gate, up and down of every gated feed-forward network, when decoding. Needs: calibration (a histogram of
 * magnitudes a layer).
 */
package ai.winnow.sparsity.activation.cats;
