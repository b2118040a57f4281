/**
 * The graph: what is computed, not how. A graph is an immutable list of nodes in execution order; a node is an op, the values
 * it reads and makes, and the site of the model it stands at. An op is a {@link ai.winnow.ir.Primitive} or a
 * {@link ai.winnow.ir.Fused} op, and the meaning of a fused op is its decomposition into primitives (or its plain Java
 * definition), so every method runs on every backend from its first day and every fast kernel has an oracle.
 */
package ai.winnow.ir;
