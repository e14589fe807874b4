/**
 * Dataset folders, their builders and the batch order of training and evaluation. Everything here runs on the host;
 * random numbers repeat NumPy's bit for bit, so that a folder or a batch sequence equals the published pipeline's.
 */
package trm.data;
