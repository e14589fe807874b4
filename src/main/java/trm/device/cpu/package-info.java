/** The processor as a backend: {@code libtrm_cpu.so} and oneDNN from its bytedeco preset. */
package trm.device.cpu;
