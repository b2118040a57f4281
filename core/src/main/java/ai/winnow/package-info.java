/** Errors and settings that every other package may use. */
package ai.winnow;
