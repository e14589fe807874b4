/** Differentiable operations: forward, hand-derived backward, and what each saves in between. */
package trm.ops;
