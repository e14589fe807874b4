/** The model: sizes, parameters, one application of f, the latent recursion, heads; each with its backward pass. */
package trm.model;
