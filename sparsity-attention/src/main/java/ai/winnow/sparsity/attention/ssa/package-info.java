/**
 * SSA: each token attends to the blocks of keys whose mean fits its queries best (Shen et al. 2025, arXiv 2511.20102). Acts on attention in
 * every phase; the cache stays complete. Needs nothing to run, and a model that was trained this way to be right at few blocks.
 */
@NullMarked
package ai.winnow.sparsity.attention.ssa;

import org.jspecify.annotations.NullMarked;
