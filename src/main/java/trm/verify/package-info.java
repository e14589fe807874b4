/** Replays golden cases (tensors and a manifest that says what they are) on a backend and compares the results. */
package trm.verify;
