/** Evaluation of a model on a data set: evaluators, choice among tries, scores and counts. */
package trm.evaluation;
