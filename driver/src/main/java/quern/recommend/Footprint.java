package quern.recommend;

import java.util.List;
import quern.model.Model;
import quern.model.ModelConfig;
import quern.model.Site;
import quern.tensor.TensorSpec;

/**
 * What a model takes beside its weights while it runs, for one sequence, with activations and cache in two bytes a number.
 *
 * @param unquantized bytes of all weights in two bytes a number
 * @param parameters how many weights there are
 * @param cache bytes of keys and values
 * @param activations bytes of a pass over the whole prompt, at most
 */
record Footprint(long unquantized, long parameters, long cache, long activations) {
    private static final int HALF = 2;
    private static final int FLOAT = 4;

    /** @param context tokens of the sequence */
    static Footprint of(Model model, int context) {
        long parameters = model.tensors().names().stream()
                .map(model.tensors()::spec)
                .mapToLong(TensorSpec::elements)
                .sum();
        return new Footprint(
                HALF * parameters, parameters, cache(model.config(), context), activations(model, context));
    }

    /** For each layer: tokens that it sees x heads of keys and values x their columns. */
    private static long cache(ModelConfig config, int context) {
        long ofToken = (long) HALF * config.kvHeads() * (config.headDim() + config.valueDim());
        return config.windows().stream()
                .mapToLong(window -> window == 0 ? context : Math.min(window, context))
                .map(tokens -> tokens * ofToken)
                .sum();
    }

    /**
     * All tokens of the prompt at once: the residual stream and what was read of it, and the input and the outputs of the linears
     * of one site, whichever site has the most columns; then the logits of one token. Servers that take prompts in pieces need less.
     */
    private static long activations(Model model, int context) {
        long columns = 0;
        for (int layer = 0; layer < model.layers(); layer++) {
            columns = Math.max(columns, columns(model.sites(layer)));
        }
        return (long) context * HALF * (2L * model.hiddenSize() + columns) + (long) FLOAT * model.vocabulary();
    }

    private static long columns(List<Site> sites) {
        return sites.stream()
                .mapToLong(site -> site.inputs()
                        + site.linears().stream().mapToLong(l -> l.outputs()).sum())
                .max()
                .orElse(0);
    }
}
