/** Deep supervision, evaluation, runs and their checkpoints. */
package trm.train;
