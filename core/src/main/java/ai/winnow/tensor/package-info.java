/** Element types, shapes and views of native memory. Everything above speaks in these; nothing here computes. */
package ai.winnow.tensor;
