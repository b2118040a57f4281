/**
 * Checkpoints and artefacts on disk: safetensors files, calibration results, fingerprints. Whatever is read here was written by
 * somebody else, so that every length, offset and name is checked before it is used, and every fault is an
 * {@link ai.winnow.ArtefactException}.
 */
package ai.winnow.io;
