/**
 * Double Sparsity: a few heavy channels of each key rank all keys, attention is over the best (Yang et al. 2024, arXiv 2408.07092). Acts on
 * attention in DECODE; prefill is dense and the cache stays complete. Needs a calibration: which channels are heavy.
 */
@NullMarked
package ai.winnow.sparsity.attention.doublesparsity;

import org.jspecify.annotations.NullMarked;
