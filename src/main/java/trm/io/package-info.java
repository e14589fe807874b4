/**
 * Files the trainer reads and writes: safetensors containers, checkpoints, metrics tables and TensorBoard events.
 * Knows nothing about models or devices. Damage and misuse of a file are reported as {@link trm.io.FormatException}.
 */
package trm.io;
