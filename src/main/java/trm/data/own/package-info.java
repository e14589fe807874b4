/** Puzzles of one's own: what their author says of them, kept in the folder of their data set. */
package trm.data.own;
