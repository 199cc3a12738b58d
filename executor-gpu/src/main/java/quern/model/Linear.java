package quern.model;

/**
 * A weight that is quantized: y = x wT, w of shape outputs x inputs.
 *
 * @param name full name of the module, without {@code .weight}: {@code model.layers.3.self_attn.q_proj}
 */
public record Linear(String name, int outputs, int inputs) {
    /** The tensor of the weight. */
    public String weight() {
        return name + ".weight";
    }

    /** The tensor of the bias, where there is one. */
    public String bias() {
        return name + ".bias";
    }
}
