/** Our kernels and those of others, side by side in one run. */
@NullMarked
package ai.winnow.benchmarks.compare;

import org.jspecify.annotations.NullMarked;
