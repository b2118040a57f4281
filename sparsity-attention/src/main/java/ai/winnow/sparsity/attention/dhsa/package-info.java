/**
 * DHSA: the prompt is cut into chunks of varying length, and each block of queries attends to the tokens of the chunks that fit it best
 * (Xiong et al. 2025, arXiv 2510.24606). Acts on attention in PREFILL; decoding is dense and the cache stays complete. Needs nothing, or,
 * for the published cuts, a predictor that was trained elsewhere.
 */
@NullMarked
package ai.winnow.sparsity.attention.dhsa;

import org.jspecify.annotations.NullMarked;
