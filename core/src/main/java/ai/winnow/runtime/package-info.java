/** Carries out: packs weights, plans graphs on backends, and runs them for many sequences. */
package ai.winnow.runtime;
