package quern.plan;

/** What the layers behind a quantized layer are calibrated on. */
public enum Propagation {
    /** One stage: each layer sees the quantized layers before it. */
    EXACT,
    /** Several stages side by side, each from the full-precision input of its first layer. */
    STAGED
}
