/**
 * Mustafar: the numbers of smallest magnitude of every older key and value are pruned, and the cache holds what is left packed (Joo et al. 2025, arXiv
 * 2505.22913). Acts on the cache and on the attention that reads it; prompts are read dense. Needs nothing.
 */
@NullMarked
package ai.winnow.sparsity.attention.mustafar;

import org.jspecify.annotations.NullMarked;
