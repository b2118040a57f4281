/** How many answers a method keeps right, and how much of the cache it reads for them. */
@NullMarked
package ai.winnow.benchmarks.retrieval;

import org.jspecify.annotations.NullMarked;
