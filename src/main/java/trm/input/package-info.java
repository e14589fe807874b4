/** What all readers of foreign files share: the refusal, how text of a file is shown, and what a file may cost. */
package trm.input;
