/**
 * The papers' tables as data, runs of their rows, and reports that set measured values beside published ones; and a study of training
 * levers of our own. Above {@code trm.train}, below {@code trm.cli}.
 */
package trm.reproduce;
