/**
 * A GPU as a backend: {@code libtrm_cuda.so}, and cuBLASLt for the products through bytedeco's presets. Loaded when a
 * device {@code cuda:N} is opened and never before: a machine without a GPU touches none of it.
 */
package trm.device.cuda;
