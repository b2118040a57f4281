/**
 * SSA: every token attends to the blocks of keys whose mean its heads like best, and to its own (Shen et al. 2025, arXiv 2511.20102). Acts on
 * attention in PREFILL and DECODE; the cache stays complete. Needs nothing here; its authors train models for it.
 */
@NullMarked
package ai.winnow.sparsity.attention.ssa;

import org.jspecify.annotations.NullMarked;
