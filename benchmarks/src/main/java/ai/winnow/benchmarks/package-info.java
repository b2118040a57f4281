@NullMarked
package ai.winnow.benchmarks;

import org.jspecify.annotations.NullMarked;
