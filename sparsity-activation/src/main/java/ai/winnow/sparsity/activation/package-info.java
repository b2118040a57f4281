/** Methods that skip what small activations would contribute, and the words their options share. */
package ai.winnow.sparsity.activation;
