/** What methods have in common that skip inputs of linear layers by a score. */
package ai.winnow.sparsity.activation.inputs;
