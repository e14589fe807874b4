/** What differs by kind of puzzle, and boards with their symmetries. */
package trm.data.puzzle;
