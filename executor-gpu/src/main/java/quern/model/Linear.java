package quern.model;

/**
 * A weight of a linear: y = x wT, w of shape outputs x inputs.
 *
 * @param name full name of the module, without {@code .weight}: {@code model.layers.3.self_attn.q_proj}
 * @param transposed whether the checkpoint stores it inputs x outputs (a Conv1D); whoever reads it through {@link Model#weight} or
 *     {@link Weights} sees outputs x inputs
 * @param slice of a tensor that holds the weights of many experts, its number there; {@link #WHOLE} for a tensor of its own
 */
public record Linear(String name, int outputs, int inputs, boolean transposed, int slice) {
    /** Of a weight that is a tensor by itself. */
    public static final int WHOLE = -1;

    public Linear(String name, int outputs, int inputs, boolean transposed) {
        this(name, outputs, inputs, transposed, WHOLE);
    }

    /** Stored as it is used. */
    public Linear(String name, int outputs, int inputs) {
        this(name, outputs, inputs, false);
    }

    /** Whether it is a slice of a larger tensor. */
    public boolean isSlice() {
        return slice != WHOLE;
    }

    /** The tensor of the weight, or that which it is a slice of. */
    public String weight() {
        return isSlice() ? name.substring(0, name.lastIndexOf('.')) : name + ".weight";
    }

    /** The tensor of the bias, where there is one that is not a slice. */
    public String bias() {
        return name + ".bias";
    }

    /** The element of the tensor with which the weight begins. */
    long first() {
        return isSlice() ? (long) slice * outputs * inputs : 0;
    }
}
