/** Sudokus: rules, symmetries, solver and builders. */
package trm.data.sudoku;
