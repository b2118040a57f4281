/**
 * What a sparsity method is: a record of its parameters that rewrites graphs, and what it needs for that. Everything here only
 * declares; {@code runtime} and {@code calibrate} carry out.
 */
package ai.winnow.method;
