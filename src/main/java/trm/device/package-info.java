/** Memory, tensors and the operations of a backend; only {@code device.cpu} and {@code device.cuda} know a library. */
package trm.device;
