/**
 * From text to text: many requests share the steps of one session. {@link ai.winnow.decode.Decoder} is the door, {@link
 * ai.winnow.decode.TextStream} what comes out of it.
 */
package ai.winnow.decode;
