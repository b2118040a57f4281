/** What the machine can do at most, measured. */
@NullMarked
package ai.winnow.kernels.simd.limits;

import org.jspecify.annotations.NullMarked;
