package quern.cli;

/** What a stage's input is. */
public enum Propagation {
    /** One stage: each layer sees the quantized layers before it. */
    EXACT,
    /** Stages side by side, each from full-precision inputs. */
    STAGED
}
