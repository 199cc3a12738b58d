package quern.scheme;

/** What the quantized linears of a layer are held to. */
public enum Target {
    /** What each gives itself in full precision, on the inputs that it gets. */
    OWN,
    /**
     * What it gives in the layer in full precision: the inputs of a linear drift with what the linears before it in the layer were
     * quantized to, and its codes make up for that. Sites are then taken one after the other.
     */
    LAYER
}
