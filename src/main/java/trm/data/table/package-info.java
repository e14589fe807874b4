/** Tables of puzzles that people bring: CSV, JSON or lists of boards, as text of any packing. */
package trm.data.table;
