/**
 * Winnow as an engine of DJL, and the bridge between the two: the only package that knows {@code ai.djl}. {@link
 * ai.winnow.djl.Winnow} is the door.
 */
package ai.winnow.djl;
