/** NumPy's random generators, reproduced bit for bit. */
package trm.data.random;
