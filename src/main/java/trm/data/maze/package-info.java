/** Mazes: rules, symmetries, generator and builder. */
package trm.data.maze;
