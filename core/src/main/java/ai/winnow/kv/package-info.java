/** The paged cache of keys and values. */
package ai.winnow.kv;
