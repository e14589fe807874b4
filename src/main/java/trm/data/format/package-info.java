/** The files of a dataset folder: arrays of NumPy, dataset.json, identifiers, and what writes them. */
package trm.data.format;
