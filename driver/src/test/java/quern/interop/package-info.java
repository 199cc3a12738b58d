/**
 * Loads checkpoints in the programs that people use, on the CPU, and compares their logits with a dense reference. Needs
 * Python; runs with {@code ./mvnw -Pinterop verify} only.
 */
package quern.interop;
