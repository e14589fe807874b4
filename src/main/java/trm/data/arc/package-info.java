/** ARC: tasks, their augmented copies and the builder. */
package trm.data.arc;
