/**
 * What every op means, in plain slow Java: the primitives, and an interpreter that runs whole graphs by decomposing fused ops
 * until only primitives and {@link ai.winnow.ir.Fused.Defined} ops remain. The oracle of planner, rewrites and kernels, and the
 * backend that never refuses.
 */
package ai.winnow.reference;
