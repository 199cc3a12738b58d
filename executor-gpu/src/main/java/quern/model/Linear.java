package quern.model;

/**
 * A weight that is quantized: y = x wT, w of shape outputs x inputs.
 *
 * @param name full name of the module, without {@code .weight}: {@code model.layers.3.self_attn.q_proj}
 * @param transposed whether the checkpoint stores it inputs x outputs (a Conv1D); whoever reads it through {@link Model#weight} or
 *     {@link Weights} sees outputs x inputs
 */
public record Linear(String name, int outputs, int inputs, boolean transposed) {
    /** Stored as it is used. */
    public Linear(String name, int outputs, int inputs) {
        this(name, outputs, inputs, false);
    }

    /** The tensor of the weight. */
    public String weight() {
        return name + ".weight";
    }

    /** The tensor of the bias, where there is one. */
    public String bias() {
        return name + ".bias";
    }
}
