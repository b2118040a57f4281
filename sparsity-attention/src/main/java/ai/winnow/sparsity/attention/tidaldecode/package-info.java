/**
 * TidalDecode: a few layers attend to all keys and choose the best, all others attend to those (Yang et al., ICLR 2025, arXiv 2410.05076).
 * Acts on attention in DECODE; prefill is dense and the cache stays complete. Needs nothing.
 */
@NullMarked
package ai.winnow.sparsity.attention.tidaldecode;

import org.jspecify.annotations.NullMarked;
