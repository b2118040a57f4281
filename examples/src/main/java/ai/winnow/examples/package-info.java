@NullMarked
package ai.winnow.examples;

import org.jspecify.annotations.NullMarked;
