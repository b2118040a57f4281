/** The contracts: abstract tests that every kernel, method and architecture extends. */
@NullMarked
package ai.winnow.contract;

import org.jspecify.annotations.NullMarked;
