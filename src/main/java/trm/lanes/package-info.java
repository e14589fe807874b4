/** The lanes of a batch on the device: their tensors, the samples on offer, and a step that is captured and replayed. */
package trm.lanes;
