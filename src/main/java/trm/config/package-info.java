/**
 * The configuration of a run: validated records, and the loader of YAML files and command-line overrides. Names in
 * files and messages are those of the published code.
 */
package trm.config;
