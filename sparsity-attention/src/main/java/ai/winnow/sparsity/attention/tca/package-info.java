/**
 * TCA-Attention: of each block of a prompt the tokens that the latest queries need (You et al. 2025, arXiv 2512.09238). Acts on attention of the
 * prompt and on what the cache keeps of it. Needs a calibration, or a configuration for all heads.
 */
@NullMarked
package ai.winnow.sparsity.attention.tca;

import org.jspecify.annotations.NullMarked;
