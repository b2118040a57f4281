/** Runs methods' calibrators over a model and data, and what they measure with. */
package ai.winnow.calibrate;
